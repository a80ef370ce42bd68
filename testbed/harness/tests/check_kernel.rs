// SPDX-License-Identifier: GPL-2.0
//! `make` with a kernel that it cannot use says so in one sentence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RUSTC: &str = "rustc 1.85.1 (4eb161250 2025-03-15)";
const CONFIG: [&str; 5] = [
    "ARM64",
    "RUST",
    "MODULES",
    "IOMMU_API",
    "IOMMU_IO_PGTABLE_LPAE",
];

/// What looks like the build directory of a kernel that the driver suits.
struct Kdir(tempfile::TempDir);

impl Kdir {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.file(
            "Makefile",
            "modules modules_install:\n\
             \t@echo built ARCH=$(ARCH) LLVM=$(LLVM) CROSS_COMPILE=$(CROSS_COMPILE)\n",
        );
        this.config(&CONFIG);
        this.file("include/config/kernel.release", "7.3.4-test\n");
        this.file("rust/libkernel.rmeta", "");
        this.compiler(RUSTC);
        this
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn config(&self, options: &[&str]) {
        let mut text = format!("CONFIG_RUSTC_VERSION_TEXT=\"{RUSTC}\"\n");
        for option in options {
            text += &format!("CONFIG_{option}=y\n");
        }
        self.file(".config", &text);
    }

    fn compiler(&self, version: &str) {
        let path = self.file("bin/rustc", &format!("#!/bin/sh\necho '{version}'\n"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    }

    /// Calls `make`; returns the first line of what it complained about.
    fn make(&self, variables: &[&str]) -> Result<(), String> {
        self.built(variables, &[]).map(drop)
    }

    /// The same; returns what the kernel's Makefile was told.
    fn built(&self, variables: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
        let kdir = format!("KDIR={}", self.path().display());
        self.built_for(&kdir, variables, environment)
    }

    /// The same for a `kernel` that is named in another way.
    fn built_for(
        &self,
        kernel: &str,
        variables: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<String, String> {
        let output = Command::new("make")
            .arg("-C")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .arg(kernel)
            .arg(format!("RUSTC={}/bin/rustc", self.path().display()))
            .args(variables)
            .env_remove("MAKEFLAGS")
            .env_remove("LLVM")
            .env_remove("CROSS_COMPILE")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        if output.status.success() {
            let said = String::from_utf8(output.stdout).unwrap();
            let mut lines = said.lines();
            return Ok(lines
                .find_map(|l| l.strip_prefix("built "))
                .unwrap()
                .to_owned());
        }
        let said = String::from_utf8(output.stderr).unwrap();
        let here = self.path().to_string_lossy().into_owned();
        let first = said.lines().next().unwrap_or_default();
        Err(first.replace(&here, "DIR"))
    }

    fn refused(&self, variables: &[&str]) -> String {
        self.make(variables).expect_err("it was not refused")
    }
}

#[test]
fn a_suitable_kernel_is_taken() {
    assert_eq!(Kdir::new().make(&[]), Ok(()));
}

#[test]
fn the_compiler_is_that_of_the_kernel() {
    let kdir = Kdir::new();
    let with = |compiler: &'static str| [&CONFIG[..], &[compiler]].concat();
    let arm = [("CROSS_COMPILE", "aarch64-linux-gnu-")];
    let built = |variables: &[&str], environment: &[(&str, &str)]| {
        kdir.built(variables, environment).unwrap()
    };

    kdir.config(&with("CC_IS_CLANG"));
    assert_eq!(built(&[], &[]), "ARCH=arm64 LLVM=1 CROSS_COMPILE=");
    assert_eq!(
        built(&["LLVM=-19"], &[]),
        "ARCH=arm64 LLVM=-19 CROSS_COMPILE="
    );

    kdir.config(&with("CC_IS_GCC"));
    let gcc = "ARCH=arm64 LLVM= CROSS_COMPILE=aarch64-linux-gnu-";
    assert_eq!(built(&[], &arm), gcc);
    assert_eq!(built(&["CROSS_COMPILE=aarch64-linux-gnu-"], &[]), gcc);
    assert_eq!(built(&[], &[]), "ARCH=arm64 LLVM= CROSS_COMPILE=");

    // Whoever says all of it is not asked.
    let all = "KBUILD_VARIABLES=ARCH=arm64 LLVM=1";
    assert_eq!(built(&[all], &[]), "ARCH=arm64 LLVM=1 CROSS_COMPILE=");
}

/// A recipe of Yocto names the source, where nothing is built, and the build directory.
#[test]
fn source_and_build_directory() {
    let kdir = Kdir::new();
    kdir.config(&[&CONFIG[..], &["CC_IS_CLANG"]].concat());
    let source = tempfile::tempdir().unwrap();
    let makefile = fs::read(kdir.path().join("Makefile")).unwrap();
    fs::write(source.path().join("Makefile"), makefile).unwrap();
    let named = format!("KERNEL_SRC={}", source.path().display());
    let out = format!("O={}", kdir.path().display());
    assert_eq!(
        kdir.built_for(&named, &[&out], &[]).unwrap(),
        "ARCH=arm64 LLVM=1 CROSS_COMPILE="
    );
    let refused = kdir.built_for(&named, &[], &[]).unwrap_err();
    assert!(refused.ends_with("it has no .config"), "{refused}");
}

#[test]
fn what_is_no_kernel() {
    let kdir = Kdir::new();
    assert_eq!(
        kdir.refused(&["KDIR=/nonexistent"]),
        "error: KDIR=/nonexistent does not exist: give the build directory of a Linux 7.3 kernel"
    );
    fs::remove_file(kdir.path().join(".config")).unwrap();
    assert_eq!(
        kdir.refused(&[]),
        "error: KDIR=DIR is not the build directory of a built kernel: it has no .config"
    );
}

#[test]
fn another_release() {
    let kdir = Kdir::new();
    for release in ["7.2.9", "6.12.1-amd64", "7.30.0", "7.4.0-rc1"] {
        kdir.file("include/config/kernel.release", release);
        assert_eq!(
            kdir.refused(&[]),
            format!("error: the driver is for Linux 7.3, and KDIR=DIR is Linux {release}")
        );
    }
    kdir.file("include/config/kernel.release", "7.3.0\n");
    assert_eq!(kdir.make(&[]), Ok(()));
}

#[test]
fn missing_options() {
    let kdir = Kdir::new();
    for (number, option) in CONFIG.iter().enumerate().skip(1) {
        let mut others = CONFIG.to_vec();
        others.remove(number);
        kdir.config(&others);
        assert_eq!(
            kdir.refused(&[]),
            format!("error: the driver needs CONFIG_{option}=y, and KDIR=DIR was built without")
        );
    }
}

#[test]
fn another_architecture() {
    let kdir = Kdir::new();
    assert_eq!(
        kdir.refused(&["ARCH=arm"]),
        "error: KDIR=DIR was not built for ARCH=arm: its .config has no CONFIG_ARM=y"
    );
    assert_eq!(
        kdir.refused(&["ARCH=x86"]),
        "error: the driver is for ARCH=arm64 and ARCH=arm, not for ARCH=x86"
    );
}

#[test]
fn headers_without_rust() {
    let kdir = Kdir::new();
    fs::remove_file(kdir.path().join("rust/libkernel.rmeta")).unwrap();
    assert_eq!(
        kdir.refused(&[]),
        "error: the driver needs the kernel's Rust crates, and KDIR=DIR has none: \
         rust/libkernel.rmeta is missing"
    );
    kdir.file("include/config/kernel.release", "7.3.4+deb13-arm64\n");
    assert!(
        kdir.refused(&[]).ends_with(
            "rust/libkernel.rmeta is missing; for Debian's kernel, `make deb` builds them"
        )
    );
}

#[test]
fn another_compiler() {
    let kdir = Kdir::new();
    kdir.compiler("rustc 1.96.0 (ac68faa20 2026-05-25)");
    assert_eq!(
        kdir.refused(&[]),
        format!(
            "error: KDIR=DIR was built with {RUSTC}, and `DIR/bin/rustc` is \
             rustc 1.96.0 (ac68faa20 2026-05-25): give the other one as RUSTC="
        )
    );
    assert_eq!(
        kdir.refused(&["RUSTC=/nonexistent"]),
        format!(
            "error: the driver needs {RUSTC}, with which KDIR=DIR was built, and \
             `/nonexistent` does not run"
        )
    );
}
