#pragma once

namespace network {

// What this network namespace has sent so far over all of its links, in bytes, with the headers of TCP. The loopback
// does not count.
double sent_bytes();

}
