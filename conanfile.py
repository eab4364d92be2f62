import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout

required_conan_version = ">=2.0"


class CcompRecipe(ConanFile):
    name = "ccomp"
    license = "Apache-2.0"
    description = "Compressed collectives: compressors, error feedback and allreduce, header-only C++20"
    topics = ("gradient-compression", "allreduce", "quantization", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "CMakeLists.txt", "cmake/*", "include/*", "LICENSE"
    no_copy_source = True
    test_package_folder = "packaging/conan/test_package"

    def set_version(self):
        text = Path(self.recipe_folder, "include/ccomp/version.hpp").read_text()
        self.version = ".".join(re.findall(r"#define CCOMP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))

    def layout(self):
        cmake_layout(self)

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        toolchain = CMakeToolchain(self)
        for part in ("TESTS", "BENCH", "EXAMPLES"):
            toolchain.cache_variables[f"CCOMP_BUILD_{part}"] = False
        toolchain.generate()

    def package(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.install()

    def package_id(self):
        self.info.clear()  # the same headers for every setting

    def package_info(self):
        # ccomp's own CMake package serves Conan's users too, so that components mean the same everywhere.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["share/cmake/ccomp"]
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
