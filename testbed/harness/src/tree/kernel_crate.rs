// SPDX-License-Identifier: GPL-2.0
//! The abstractions as a part of the `kernel` crate: their files have the same relative paths,
//! below another directory.

/// The directory of the abstractions in the checkout.
pub const HERE: &str = "abstractions/";
/// The directory of the abstractions in a kernel's tree.
pub const THERE: &str = "rust/kernel/";

/// Files of the checkout that a kernel's tree does not need, as it has its own.
const STAND_INS: [&str; 2] = ["bindings.rs", "mod.rs"];

/// Lines of the driver about the abstractions. In a kernel's tree they are not its module.
const MODULE: [&str; 2] = [
    "mod abstractions;\n",
    "//!\n//! Safe Rust over the kernel's C is in [`abstractions`].\n",
];

/// Returns the path of an abstraction in a kernel's tree; none for stand-ins and other files.
pub fn path(name: &str) -> Option<String> {
    let name = name.strip_prefix(HERE)?;
    (!STAND_INS.contains(&name)).then(|| format!("{THERE}{name}"))
}

/// Returns the text of an abstraction for the `kernel` crate.
pub fn abstraction(text: &str) -> String {
    text.replace("crate::abstractions::", "crate::")
        .replace("\nuse kernel::", "\nuse crate::")
        .replace("pub(crate)", "pub")
}

/// Returns the text of a file of the driver, with abstractions from the `kernel` crate.
pub fn driver(text: &str) -> String {
    let text = MODULE
        .iter()
        .fold(text.to_owned(), |text, said| text.replace(said, ""));
    text.replace("crate::abstractions::", "kernel::")
}

/// Returns the text of a page or a figure, with paths in a kernel's tree.
pub fn page(text: &str) -> String {
    text.replace("abstractions/bindings.rs", "rust/helpers/")
        .replace(HERE, THERE)
}
