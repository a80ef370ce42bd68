// SPDX-License-Identifier: GPL-2.0
//! A virtual machine of KVM's with one CPU and no interrupts. It lets a device copy, and compares
//! the result.

use std::arch::global_asm;
use std::marker::PhantomData;
use std::mem::offset_of;

use anyhow::{Context, Result, bail};
use kvm_bindings::{
    KVM_REG_ARM_CORE, KVM_REG_ARM64, KVM_REG_SIZE_U64, kvm_regs, kvm_userspace_memory_region,
    kvm_vcpu_init,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};

use crate::device::{
    BUFFER, COMMAND_RUN, COMMAND_TO_MEMORY, Device, REG_COMMAND, REG_COUNT, REG_DESTINATION,
    REG_SOURCE,
};
use crate::memory::{PAGE, Pages, Pattern};

/// The guest's address of its device.
const DEVICE: u64 = 0x8000_0000;
/// The address of reports: nothing is there, so that KVM hands a write to the monitor.
const REPORT: u64 = 0x9000_0000;

/// The number of words in a page.
pub const WORDS: u64 = (PAGE / size_of::<u64>()) as u64;

/// The number of instructions of the guest, at most.
const CODE: usize = 64;

// The code of the guest, an endless loop. MMU and caches are off. x0 to x6 come from `Errand`, and
// are not changed.
global_asm!(
    r"
    .pushsection .rodata
    .balign 4
guest_code:
    // The page at x0 is filled: each word is one more than the one before.
    mov     x9, #0
1:  add     x10, x4, x9
    str     x10, [x0, x9, lsl #3]
    add     x9, x9, #1
    cmp     x9, #{WORDS}
    b.ne    1b
    dsb     sy

    // The device at x5 reads a page at x2 ...
    mov     x9, #{BUFFER}
    mov     x10, #{PAGE}
    mov     x11, #{READ}
    str     x2, [x5, #{SOURCE}]
    str     x9, [x5, #{DESTINATION}]
    str     x10, [x5, #{COUNT}]
    str     x11, [x5, #{COMMAND}]
2:  ldr     x11, [x5, #{COMMAND}]
    tst     x11, #{RUN}
    b.ne    2b

    // ... and writes it at x3.
    mov     x11, #{WRITE}
    str     x9, [x5, #{SOURCE}]
    str     x3, [x5, #{DESTINATION}]
    str     x11, [x5, #{COMMAND}]
3:  ldr     x11, [x5, #{COMMAND}]
    tst     x11, #{RUN}
    b.ne    3b
    dsb     sy

    // How many words at x1 are those of the page at x0 is what is reported at x6.
    mov     x9, #0
    mov     x12, #0
4:  add     x10, x4, x9
    ldr     x11, [x1, x9, lsl #3]
    cmp     x10, x11
    cinc    x12, x12, eq
    add     x9, x9, #1
    cmp     x9, #{WORDS}
    b.ne    4b
    str     x12, [x6]
    b       guest_code
    .org    guest_code + 4 * {CODE}
    .popsection
    ",
    WORDS = const WORDS,
    BUFFER = const BUFFER,
    PAGE = const PAGE,
    SOURCE = const REG_SOURCE,
    DESTINATION = const REG_DESTINATION,
    COUNT = const REG_COUNT,
    COMMAND = const REG_COMMAND,
    RUN = const COMMAND_RUN,
    READ = const COMMAND_RUN,
    WRITE = const COMMAND_RUN | COMMAND_TO_MEMORY,
    CODE = const CODE,
);

// SAFETY: The code above has this size, and nothing writes to it.
unsafe extern "C" {
    safe static guest_code: [u32; CODE];
}

/// One run of the guest's loop. All addresses are the guest's.
pub struct Errand {
    /// The page that the guest fills.
    pub filled: u64,
    /// The content of that page.
    pub pattern: Pattern,
    /// The address that the device reads a page at.
    pub source: u64,
    /// The address that the device then writes it at.
    pub destination: u64,
    /// The page that the guest then compares with the content of the first one.
    pub compared: u64,
}

impl Errand {
    fn registers(&self) -> [u64; 7] {
        [
            self.filled,
            self.compared,
            self.source,
            self.destination,
            self.pattern.word(0),
            DEVICE,
            REPORT,
        ]
    }
}

/// A virtual machine. It borrows the memory that it has of this process.
pub struct Vm<'a> {
    vm: VmFd,
    cpu: VcpuFd,
    slots: u32,
    has: PhantomData<(&'a Pages, &'a Device)>,
}

impl<'a> Vm<'a> {
    /// Makes one that has the registers of `device`, and begins at the address `entry`.
    pub fn new(device: &'a Device, entry: u64) -> Result<Self> {
        let kvm = Kvm::new().context("/dev/kvm")?;
        let vm = kvm.create_vm().context("KVM_CREATE_VM")?;
        let mut target = kvm_vcpu_init::default();
        vm.get_preferred_target(&mut target)
            .context("KVM_ARM_PREFERRED_TARGET")?;
        let cpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;
        cpu.vcpu_init(&target).context("KVM_ARM_VCPU_INIT")?;
        let mut this = Self {
            vm,
            cpu,
            slots: 0,
            has: PhantomData,
        };
        let (registers, size) = device.registers();
        // SAFETY: The registers are mapped there while the device is borrowed.
        unsafe { this.add(DEVICE, registers, size)? };
        this.set(offset_of!(kvm_regs, regs.pc), entry)?;
        Ok(this)
    }

    /// Puts the guest's code at the beginning of `memory`.
    pub fn install(memory: &Pages) {
        memory.put(&guest_code);
    }

    /// Gives the guest `memory` at the address `at`.
    pub fn add_memory(&mut self, at: u64, memory: &'a Pages) -> Result<()> {
        // SAFETY: The memory is there while it is borrowed, and may be written to at any time.
        unsafe { self.add(at, memory.address(), memory.size()) }
    }

    /// Gives the guest `size` bytes of this process, from `host` on, at the address `at`.
    ///
    /// # Safety
    ///
    /// These bytes must stay mapped while `self` exists, and may change at any time.
    unsafe fn add(&mut self, at: u64, host: u64, size: usize) -> Result<()> {
        let region = kvm_userspace_memory_region {
            slot: self.slots,
            flags: 0,
            guest_phys_addr: at,
            memory_size: size as u64,
            userspace_addr: host,
        };
        // SAFETY: By the contract of this function.
        unsafe { self.vm.set_user_memory_region(region) }
            .with_context(|| format!("KVM_SET_USER_MEMORY_REGION at {at:#x}"))?;
        self.slots += 1;
        Ok(())
    }

    /// Runs the loop once; returns the number of words that the guest found to be right.
    pub fn run(&mut self, errand: &Errand) -> Result<u64> {
        for (index, value) in errand.registers().into_iter().enumerate() {
            let first = offset_of!(kvm_regs, regs.regs);
            self.set(first + index * size_of::<u64>(), value)?;
        }
        match self.cpu.run().context("KVM_RUN")? {
            VcpuExit::MmioWrite(REPORT, report) => Ok(u64::from_le_bytes(report.try_into()?)),
            other => bail!("the guest ended with {other:x?}"),
        }
    }

    /// Sets the CPU's register that is at `offset` in `kvm_regs`.
    fn set(&self, offset: usize, value: u64) -> Result<()> {
        let number = (offset / size_of::<u32>()) as u64;
        let id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | u64::from(KVM_REG_ARM_CORE) | number;
        self.cpu
            .set_one_reg(id, &value.to_le_bytes())
            .with_context(|| format!("KVM_SET_ONE_REG {id:#x}"))?;
        Ok(())
    }
}
