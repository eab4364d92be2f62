// The yardstick: a program that includes four headers of the standard library.
#include <span>
#include <string>
#include <thread>
#include <vector>

int main() {}
