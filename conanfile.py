import os
import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import valid_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get, rmdir
from conan.tools.scm import Version

required_conan_version = ">=2.0"


class CcompRecipe(ConanFile):
    """Packages the checkout that it lies in. packaging/release.sh makes the recipe of a release from it, beside whose
    conandata.yml it downloads the release instead."""

    name = "ccomp"
    license = "Apache-2.0"
    description = "Compressed collectives: compressors, error feedback and allreduce, header-only C++20"
    topics = ("gradient-compression", "allreduce", "quantization", "cuda", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_eigen": [True, False], "with_cuda": [True, False], "with_mpi": [True, False], "compiled": [True, False]}
    default_options = {"with_eigen": False, "with_cuda": False, "with_mpi": False, "compiled": False}
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*.cmake", "cmake/*.in", "include/*", "packaging/conan/*.cmake"
    no_copy_source = True
    test_package_folder = "packaging/conan/test_package"

    def set_version(self):
        header = Path(self.recipe_folder, "include/ccomp/version.hpp")
        if header.exists():
            self.version = ".".join(re.findall(r"#define CCOMP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header.read_text()))

    def configure(self):
        if self.options.compiled:
            self.package_type = "static-library"

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        if self.options.with_eigen:
            self.requires("eigen/3.4.0", transitive_headers=True)

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration(f"ccomp supports Linux, and the profile says os={self.settings.os}")
        oldest = {"gcc": "12", "clang": "16"}
        compiler = self.settings.get_safe("compiler")
        version = self.settings.get_safe("compiler.version")
        if compiler not in oldest or Version(version) < oldest[compiler]:
            raise ConanInvalidConfiguration(
                f"ccomp needs gcc 12 or clang 16, or later, and the profile says {compiler} {version}")
        if not valid_min_cppstd(self, "20"):
            raise ConanInvalidConfiguration(
                f"ccomp needs C++20, and the profile says compiler.cppstd={self.settings.get_safe('compiler.cppstd')}: "
                "add -s compiler.cppstd=20 to the command, or change the profile")

    def source(self):
        if self.conan_data:
            get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        for part in ("TESTS", "BENCH", "EXAMPLES"):
            toolchain.cache_variables[f"CCOMP_BUILD_{part}"] = False
        toolchain.cache_variables["CCOMP_BUILD_COMPILED"] = bool(self.options.compiled)
        toolchain.cache_variables["CCOMP_USE_OPENMP"] = False
        toolchain.cache_variables["CMAKE_INSTALL_MESSAGE"] = "NEVER"
        toolchain.user_presets_path = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        if self.options.compiled:
            cmake.build()

    def package(self):
        CMake(self).install()
        for folder in ("share", "lib/cmake", "lib/pkgconfig"):  # Conan's generators write such files themselves
            rmdir(self, os.path.join(self.package_folder, folder))
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        for folder, file in (("cmake", "CcompComponents.cmake"), ("packaging/conan", "components.cmake")):
            copy(self, file, os.path.join(self.source_folder, folder), os.path.join(self.package_folder, "cmake"))
        copy(self, "ccomp_build_tag", self.build_folder, os.path.join(self.package_folder, "cmake"))

    def package_id(self):
        if self.info.options.compiled:
            del self.info.options.with_eigen, self.info.options.with_cuda, self.info.options.with_mpi  # they add no file
        else:
            self.info.clear()  # the same files for every setting and option

    def package_info(self):
        # Targets are called as in ccomp's own CMake package: ccomp::ccomp without outside libraries, ccomp::<component>.
        components = ["ccomp"]
        if self.options.with_eigen:
            components += ["eigen"]
        if self.options.with_cuda:
            components += ["cuda", "cublas", "cusolver", "nccl"]
        if self.options.with_mpi:
            components += ["mpi"]
        if self.options.compiled:
            components += ["compiled"]
        for name in components:
            component = self.cpp_info.components[name]
            component.set_property("cmake_target_name", f"ccomp::{name}")
            component.bindirs = []
            if name != "compiled":
                component.libdirs = []
            if name != "ccomp":
                component.includedirs = []
                component.requires = ["ccomp"]
        core = self.cpp_info.components["ccomp"]
        core.set_property("pkg_config_name", "ccomp")
        if self.settings.os == "Linux":
            core.system_libs = ["pthread"]
        if self.options.with_eigen:
            self.cpp_info.components["eigen"].requires += ["eigen::eigen"]
        if self.options.compiled:
            compiled = self.cpp_info.components["compiled"]
            compiled.libs = ["ccomp"]
            compiled.defines = ["CCOMP_COMPILED=" + Path(self.package_folder, "cmake/ccomp_build_tag").read_text()]
        self.cpp_info.set_property("cmake_target_name", "ccomp::all")  # what the options ask for
        self.cpp_info.set_property("cmake_config_version_compat", "SameMinorVersion")
        self.cpp_info.set_property("cmake_build_modules", ["cmake/components.cmake"])
