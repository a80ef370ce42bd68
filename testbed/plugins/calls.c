// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU TCG plugin: what calls of some of the guest's functions cost.
 *
 * functions=PATH names a file with one "NAME ADDRESS" line for each function.
 * Lines may be added while the guest runs, as long as the functions have not been
 * called yet: where a module is loaded is known only then. What functions whose
 * NAME begins with "-" do is left out of what those that call them cost, and has
 * lines of its own.
 *
 * log=PATH receives one line for each call, when it returns: NAME, the physical
 * address of the first device register that it touched (0: none), instructions,
 * reads and writes of device registers. Functions that it calls are included,
 * and have no lines of their own; so is an interrupt that comes in between.
 *
 * profile=PATH receives at the end what these instructions were: one line for
 * each address: NAME of the function that was called, the address, how often.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAX_FUNCTIONS 32

/*
 * The interrupt controller of an R-Car: an interrupt that comes in between goes
 * there, and so does a driver that switches its own off. It counts as no device.
 */
#define GIC_BEGIN 0xf1000000
#define GIC_END   0xf1100000

static struct {
    char name[32];
    uint64_t address;
} functions[MAX_FUNCTIONS];

static int function_count;
static char *file;
static FILE *in;
static FILE *calls;
static char *profile_path;

/* How often each address was executed in calls of each function. */
static GHashTable *profile[MAX_FUNCTIONS];

/* It is over when its return address is reached. */
typedef struct {
    guint function;
    uint64_t begin;
    uint64_t return_address;
    uint64_t device;
    uint64_t reads;
    uint64_t writes;
} Call;

/* One of each CPU. */
typedef struct {
    uint64_t instructions;
    /* Whether there is a call. */
    uint64_t active;
    Call call;
    /* What is left out of that one, while it has a return address. */
    Call out;
    struct qemu_plugin_register *lr;
} Cpu;

static struct qemu_plugin_scoreboard *cpus;
static qemu_plugin_u64 instructions, active;

static void vcpu_init(qemu_plugin_id_t id, unsigned int index)
{
    Cpu *cpu = qemu_plugin_scoreboard_find(cpus, index);
    g_autoptr(GArray) registers = qemu_plugin_get_registers();

    for (guint i = 0; i < registers->len; i++) {
        qemu_plugin_reg_descriptor *reg =
            &g_array_index(registers, qemu_plugin_reg_descriptor, i);

        if (!strcmp(reg->name, "x30")) {
            cpu->lr = reg->handle;
        }
    }
}

/* Reads the lines that were added to the file. */
static void read_file(void)
{
    if (!in) {
        in = fopen(file, "r");
    }
    if (!in) {
        return;
    }
    clearerr(in);
    while (function_count < MAX_FUNCTIONS &&
           fscanf(in, "%31s %" SCNx64, functions[function_count].name,
                  &functions[function_count].address) == 2) {
        function_count++;
    }
}

static uint64_t return_address(Cpu *cpu)
{
    g_autoptr(GByteArray) lr = g_byte_array_new();
    uint64_t address = 0;

    if (cpu->lr && qemu_plugin_read_register(cpu->lr, lr) == 8) {
        memcpy(&address, lr->data, 8);
    }
    return address;
}

static void begin(Cpu *cpu, Call *call, guint function)
{
    *call = (Call) {
        .function = function,
        .begin = cpu->instructions,
        .return_address = return_address(cpu),
    };
}

/* Returns how many instructions it took. */
static uint64_t end(Cpu *cpu, Call *call)
{
    uint64_t took = cpu->instructions - call->begin;

    fprintf(calls, "%s %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            functions[call->function].name, call->device, took,
            call->reads, call->writes);
    fflush(calls);
    call->return_address = 0;
    return took;
}

static void entered(unsigned int index, void *function)
{
    Cpu *cpu = qemu_plugin_scoreboard_find(cpus, index);
    guint number = GPOINTER_TO_UINT(function);

    if (!cpu->active && functions[number].name[0] != '-') {
        begin(cpu, &cpu->call, number);
        cpu->active = cpu->call.return_address != 0;
    } else if (cpu->active && functions[number].name[0] == '-' &&
               !cpu->out.return_address) {
        begin(cpu, &cpu->out, number);
    }
}

static void block_starts(unsigned int index, void *address)
{
    Cpu *cpu = qemu_plugin_scoreboard_find(cpus, index);

    if (cpu->out.return_address) {
        if ((uintptr_t)address == cpu->out.return_address) {
            cpu->call.begin += end(cpu, &cpu->out);
        }
    } else if ((uintptr_t)address == cpu->call.return_address) {
        end(cpu, &cpu->call);
        cpu->active = 0;
    }
}

static void accessed(unsigned int index, qemu_plugin_meminfo_t info,
                     uint64_t vaddr, void *unused)
{
    Cpu *cpu = qemu_plugin_scoreboard_find(cpus, index);
    Call *call = cpu->out.return_address ? &cpu->out : &cpu->call;
    struct qemu_plugin_hwaddr *hwaddr;
    uint64_t address;

    if (!cpu->active) {
        return;
    }
    hwaddr = qemu_plugin_get_hwaddr(info, vaddr);
    if (!hwaddr || !qemu_plugin_hwaddr_is_io(hwaddr)) {
        return;
    }
    address = qemu_plugin_hwaddr_phys_addr(hwaddr);
    if (address >= GIC_BEGIN && address < GIC_END) {
        return;
    }
    if (!call->device) {
        call->device = address;
    }
    if (qemu_plugin_mem_is_store(info)) {
        call->writes++;
    } else {
        call->reads++;
    }
}

static void executed(unsigned int index, void *address)
{
    Cpu *cpu = qemu_plugin_scoreboard_find(cpus, index);
    GHashTable *counts = profile[cpu->call.function];
    uint64_t *count;

    if (cpu->out.return_address) {
        return;
    }
    count = g_hash_table_lookup(counts, address);
    if (!count) {
        count = g_new0(uint64_t, 1);
        g_hash_table_insert(counts, address, count);
    }
    ++*count;
}

static void write_profile(qemu_plugin_id_t id, void *unused)
{
    FILE *out = fopen(profile_path, "w");

    for (int f = 0; out && f < function_count; f++) {
        GHashTableIter each;
        gpointer address, count;

        g_hash_table_iter_init(&each, profile[f]);
        while (g_hash_table_iter_next(&each, &address, &count)) {
            fprintf(out, "%s %" PRIxPTR " %" PRIu64 "\n", functions[f].name,
                    (uintptr_t)address, *(uint64_t *)count);
        }
    }
    if (out) {
        fclose(out);
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    uintptr_t start = qemu_plugin_tb_vaddr(tb);

    if (function_count < MAX_FUNCTIONS) {
        read_file();
    }
    qemu_plugin_register_vcpu_tb_exec_cond_cb(tb, block_starts,
                                              QEMU_PLUGIN_CB_NO_REGS,
                                              QEMU_PLUGIN_COND_NE, active, 0,
                                              (void *)start);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);

        for (int f = 0; f < function_count; f++) {
            if (functions[f].address == address) {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, entered,
                                                       QEMU_PLUGIN_CB_R_REGS,
                                                       GUINT_TO_POINTER(f));
            }
        }
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
            insn, QEMU_PLUGIN_INLINE_ADD_U64, instructions, 1);
        if (profile_path) {
            qemu_plugin_register_vcpu_insn_exec_cond_cb(insn, executed,
                                                        QEMU_PLUGIN_CB_NO_REGS,
                                                        QEMU_PLUGIN_COND_NE,
                                                        active, 0,
                                                        (void *)(uintptr_t)address);
        }
        qemu_plugin_register_vcpu_mem_cb(insn, accessed,
                                         QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, NULL);
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                           const qemu_info_t *info,
                                           int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "functions=")) {
            file = g_strdup(argv[i] + strlen("functions="));
        } else if (g_str_has_prefix(argv[i], "profile=")) {
            profile_path = g_strdup(argv[i] + strlen("profile="));
        } else if (g_str_has_prefix(argv[i], "log=")) {
            calls = fopen(argv[i] + strlen("log="), "w");
        } else {
            fprintf(stderr, "calls: there is no option %s\n", argv[i]);
            return -1;
        }
    }
    if (!file || !calls) {
        fprintf(stderr, "calls: functions= and a writable log= are needed\n");
        return -1;
    }
    cpus = qemu_plugin_scoreboard_new(sizeof(Cpu));
    instructions = qemu_plugin_scoreboard_u64_in_struct(cpus, Cpu, instructions);
    active = qemu_plugin_scoreboard_u64_in_struct(cpus, Cpu, active);
    if (profile_path) {
        for (int f = 0; f < MAX_FUNCTIONS; f++) {
            profile[f] = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        }
        qemu_plugin_register_atexit_cb(id, write_profile, NULL);
    }
    qemu_plugin_register_vcpu_init_cb(id, vcpu_init);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
