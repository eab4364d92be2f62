#include <ccomp/version.hpp>
#include <cstdio>

int main() { std::puts(CCOMP_VERSION_STRING); }
