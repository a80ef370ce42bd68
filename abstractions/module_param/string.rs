// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are strings.
//!
//! `module!` supports numbers and `bool`. Here are `charp` parameters, which are set when the
//! module is loaded, and can be read in `/sys/module/<module>/parameters/`.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::{
    cell::UnsafeCell,
    ptr, //
};

use kernel::{
    bindings,
    prelude::*,
    str::as_char_ptr_in_const_context, //
};

/// The value of a string parameter.
///
/// # Invariants
///
/// The pointer is null, or points to a NUL-terminated string that is valid as long as the module.
/// Only the kernel's parameter code writes the pointer, before any code of the module runs.
#[repr(transparent)]
pub(crate) struct StringParam(UnsafeCell<*mut c_char>);

// SAFETY: By the type invariant the pointer is not written while code of the module runs.
unsafe impl Sync for StringParam {}

impl StringParam {
    /// Creates a parameter that is not set.
    pub(crate) const fn absent() -> Self {
        // INVARIANT: Null is allowed.
        Self(UnsafeCell::new(ptr::null_mut()))
    }

    /// Returns the address at which the kernel's parameter code stores the value.
    pub(crate) const fn as_arg(&self) -> *mut c_void {
        self.0.get().cast()
    }

    /// Returns the value, if the parameter was set.
    pub(crate) fn get(&self) -> Option<&CStr> {
        // SAFETY: By the type invariant nothing writes the pointer while code of the module runs.
        let text = unsafe { *self.0.get() };
        if text.is_null() {
            return None;
        }

        // SAFETY: By the type invariant `text` is NUL-terminated, and valid as long as the module.
        Some(unsafe { CStr::from_char_ptr(text) })
    }
}

/// A `struct kernel_param` in a `static`.
#[doc(hidden)]
#[repr(transparent)]
pub(crate) struct Declaration(bindings::kernel_param);

// SAFETY: Only the kernel's parameter code accesses the declaration, and never writes it.
unsafe impl Sync for Declaration {}

impl Declaration {
    /// Creates a declaration. For [`string_param!`](crate::string_param) only.
    pub(crate) const fn new(
        name: &'static CStr,
        param: &'static StringParam,
        module: *mut bindings::module,
    ) -> Self {
        Self(bindings::kernel_param {
            name: as_char_ptr_in_const_context(name),
            mod_: module,
            // Only the address is taken. The operations belong to C.
            ops: &raw const bindings::param_ops_charp,
            perm: 0o444,
            level: -1,
            flags: 0,
            __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 {
                arg: param.as_arg(),
            },
        })
    }
}

/// Returns `text`, which ends with NUL, as an array that can be placed in a section.
#[doc(hidden)]
pub(crate) const fn modinfo<const LEN: usize>(text: &str) -> [u8; LEN] {
    match text.as_bytes().first_chunk() {
        Some(bytes) => *bytes,
        None => panic!("the array is longer than the text"),
    }
}

/// Returns `text`, which ends with NUL, as a C string.
#[doc(hidden)]
pub(crate) const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("NUL must be at the end, and nowhere else"),
    }
}

/// Declares a module parameter whose value is stored in `$param`, a [`StringParam`].
///
/// ```ignore
/// static ALLOW: StringParam = StringParam::absent();
/// string_param!(my_module, MyModule, ALLOW, "allow", "What `modinfo` shows.");
/// ```
#[macro_export]
macro_rules! string_param {
    ($module:ident, $type:ty, $param:path, $name:literal, $description:literal) => {
        const _: () = {
            use $crate::abstractions::module_param::string;

            #[link_section = "__param"]
            #[used(compiler)]
            static PARAM: string::Declaration = string::Declaration::new(
                string::c_str($crate::string_param!(@prefixed $module, "", $name)),
                &$param,
                <$type as ::kernel::ModuleMetadata>::THIS_MODULE.as_ptr(),
            );

            const TYPE: &str =
                $crate::string_param!(@prefixed $module, "parmtype=", $name, ":charp");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static PARMTYPE: [u8; TYPE.len()] = string::modinfo(TYPE);

            const TEXT: &str =
                $crate::string_param!(@prefixed $module, "parm=", $name, ":", $description);
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static PARM: [u8; TEXT.len()] = string::modinfo(TEXT);
        };
    };

    // Parameters of built-in code have the module's name as prefix.
    (@prefixed $module:ident, $($part:expr),*) => {
        if ::core::cfg!(MODULE) {
            ::core::concat!($($part,)* "\0")
        } else {
            ::core::concat!(::core::stringify!($module), ".", $($part,)* "\0")
        }
    };
}
