import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout


class CcompTestPackage(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeDeps"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        options = self.dependencies["ccomp"].options
        components = ["eigen"] * bool(options.with_eigen) + ["cuda", "cublas", "cusolver", "nccl"] * bool(options.with_cuda)
        components += ["mpi"] * bool(options.with_mpi) + ["compiled"] * bool(options.compiled)
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["CONSUMER_COMPONENTS"] = ";".join(components)
        toolchain.user_presets_path = False  # nothing is written beside this file
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        if can_run(self):
            self.run(os.path.join(self.cpp.build.bindir, "consumer"), env="conanrun")
