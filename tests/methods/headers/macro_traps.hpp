#pragma once
// Object-like macros that system and third-party headers are known to define. A ccomp header that uses one of these
// names breaks for somebody; here it breaks for us. min and max are left out: no supported platform defines them.

#define I ccomp_trap          // <complex.h>
#define B0 ccomp_trap         // <termios.h>
#define major ccomp_trap      // <sys/sysmacros.h>
#define minor ccomp_trap      // <sys/sysmacros.h>
#define Status ccomp_trap     // <X11/Xlib.h>
#define Success ccomp_trap    // <X11/X.h>
#define None ccomp_trap       // <X11/X.h>
#define Bool ccomp_trap       // <X11/Xlib.h>
#define True ccomp_trap       // <X11/Xlib.h>
#define small ccomp_trap      // <rpcndr.h>
#define interface ccomp_trap  // <combaseapi.h>
#define near ccomp_trap       // <windef.h>
#define far ccomp_trap        // <windef.h>
#define IN ccomp_trap         // <minwindef.h>
#define OUT ccomp_trap        // <minwindef.h>
#define ERROR ccomp_trap      // <wingdi.h>
#define CHECK ccomp_trap      // test frameworks and loggers
#define DOMAIN ccomp_trap     // <math.h> of several systems
