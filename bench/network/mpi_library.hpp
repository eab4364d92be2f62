#pragma once

#include <ccomp/comm/mpi_error.hpp>  // mpi.h without the C++ classes of MPI

#include <string>

namespace network {

// Name and version of the MPI that runs.
inline std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  std::string const all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));  // what follows says who built it
}

}
