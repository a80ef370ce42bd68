// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are strings.
//!
//! `module!` knows numbers and `bool`. This declares a `charp` parameter that is set when the
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
/// The pointer is null, or points to a NUL-terminated string that lives as long as the module. It
/// is written by the kernel's parameter code only, before any code of the module runs.
#[repr(transparent)]
pub(crate) struct StringParam(UnsafeCell<*mut c_char>);

// SAFETY: By the type invariant nothing is written while code of the module runs.
unsafe impl Sync for StringParam {}

impl StringParam {
    /// Makes a parameter that was not given.
    pub(crate) const fn absent() -> Self {
        // INVARIANT: Null is allowed.
        Self(UnsafeCell::new(ptr::null_mut()))
    }

    /// Returns where the kernel's parameter code stores the value.
    pub(crate) const fn as_arg(&self) -> *mut c_void {
        self.0.get().cast()
    }

    /// Returns the text, if the parameter was given.
    pub(crate) fn get(&self) -> Option<&CStr> {
        // SAFETY: By the type invariant nobody writes.
        let text = unsafe { *self.0.get() };
        if text.is_null() {
            return None;
        }

        // SAFETY: By the type invariant `text` is a NUL-terminated string that lives long enough.
        Some(unsafe { CStr::from_char_ptr(text) })
    }
}

/// A `struct kernel_param` in a `static`.
#[doc(hidden)]
#[repr(transparent)]
pub(crate) struct Declaration(bindings::kernel_param);

// SAFETY: Read by the kernel's parameter code only, which serialises itself.
unsafe impl Sync for Declaration {}

impl Declaration {
    /// For [`string_param!`](crate::string_param) only.
    pub(crate) const fn new(
        name: &'static CStr,
        param: &'static StringParam,
        module: *mut bindings::module,
    ) -> Self {
        Self(bindings::kernel_param {
            name: as_char_ptr_in_const_context(name),
            mod_: module,
            // Taken as an address only; C owns the operations.
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

/// Turns `text`, which ends with NUL, into an array to be placed in a section of its own.
#[doc(hidden)]
pub(crate) const fn modinfo<const LEN: usize>(text: &str) -> [u8; LEN] {
    match text.as_bytes().first_chunk() {
        Some(bytes) => *bytes,
        None => panic!("the array is longer than the text"),
    }
}

/// Turns `text`, which ends with NUL, into a C string.
#[doc(hidden)]
pub(crate) const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("NUL must be at the end, and nowhere else"),
    }
}

/// Declares the module parameter that `$param`, a [`StringParam`], is the value of.
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

    // What is built in says whose parameter it is; a module need not.
    (@prefixed $module:ident, $($part:expr),*) => {
        if ::core::cfg!(MODULE) {
            ::core::concat!($($part,)* "\0")
        } else {
            ::core::concat!(::core::stringify!($module), ".", $($part,)* "\0")
        }
    };
}
