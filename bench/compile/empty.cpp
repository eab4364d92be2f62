// What including all of ccomp costs a program that uses nothing of it.
#include <ccomp/ccomp.hpp>

int main() {}
