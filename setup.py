"""Builds the extensions; everything else about the package stands in pyproject.toml.

There is no fallback: without a C compiler, or with a kernel that does not compile, the installation fails.

    TRACEZIP_WERROR=1    make every warning in csrc/ an error (CI and developers)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BINDING = "tracezip/_native.pyx"
SPANS = "tracezip/_spans.pyx"
KERNELS = sorted(str(path) for path in Path("csrc").glob("*.c"))
HEADERS = sorted(str(path) for path in Path("csrc").glob("*.h"))

# Kernels reach every load and store through memcpy or a pointer of the buffer's own type; -fno-strict-aliasing makes a
# slip in that rule harmless. No -march: one wheel for every processor, and the same bytes from all of them. For GCC and
# Clang: the kernels use their 128-bit integers.
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-fno-strict-aliasing", "-fvisibility=hidden"]
# Only for the kernels: the C that Cython writes is not ours to change.
# -Wclobbered sees danger in every function that a kernel leaves through setjmp, also where nothing is read after it.
KERNEL_FLAGS = ["-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wno-unknown-warning-option", "-Wno-clobbered"]


def kernel_flags() -> list[str]:
    return [*KERNEL_FLAGS, "-Werror"] if os.environ.get("TRACEZIP_WERROR") == "1" else KERNEL_FLAGS


class BuildNative(build_ext):
    """build_ext with the compiler's own flags, and stricter ones for the files in csrc/."""

    def build_extensions(self) -> None:
        for extension in self.extensions:
            extension.extra_compile_args = FLAGS
        self._warn_more_about_kernels()
        super().build_extensions()

    def _warn_more_about_kernels(self) -> None:
        compile_one = self.compiler._compile

        def compile_with_kernel_flags(
            target: str, source: str, extension: str, cc_args: list[str], postargs: list[str], pp_opts: list[str]
        ) -> Any:
            more = kernel_flags() if Path(source).parent.name == "csrc" else ["-Wno-unused-parameter"]
            return compile_one(target, source, extension, cc_args, [*postargs, *more], pp_opts)

        self.compiler._compile = compile_with_kernel_flags


def native_extensions() -> list[Extension]:
    if not Path(BINDING).is_file() or not KERNELS:
        raise SystemExit(f"tracezip: {BINDING} or csrc/*.c is missing; this source tree cannot be built")
    native = Extension(
        "tracezip._native",
        sources=[BINDING, *KERNELS],
        depends=HEADERS,
        include_dirs=["csrc", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
    )
    spans = Extension("tracezip._spans", sources=[SPANS])
    return list(cythonize([native, spans], build_dir="build/cython", language_level=3))


setup(ext_modules=native_extensions(), cmdclass={"build_ext": BuildNative})
