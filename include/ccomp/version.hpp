#pragma once

/// @file
/// The library's version. Every other place that needs it (CMake, Conan, the scripts in packaging/) reads these three
/// lines.

#define CCOMP_VERSION_MAJOR 0
#define CCOMP_VERSION_MINOR 2
#define CCOMP_VERSION_PATCH 0

#define CCOMP_DETAIL_TEXT_OF(x) #x
#define CCOMP_DETAIL_DOTTED(a, b, c) CCOMP_DETAIL_TEXT_OF(a) "." CCOMP_DETAIL_TEXT_OF(b) "." CCOMP_DETAIL_TEXT_OF(c)
/// "major.minor.patch" as a string literal.
#define CCOMP_VERSION_STRING CCOMP_DETAIL_DOTTED(CCOMP_VERSION_MAJOR, CCOMP_VERSION_MINOR, CCOMP_VERSION_PATCH)
