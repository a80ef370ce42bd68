// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU TCG plugin: holds CPUs for a while in some of the guest's code, so that
 * windows of nanoseconds become milliseconds.
 *
 * control=PATH names a file of five 64-bit words in the host's order, which may
 * change at any time:
 *
 *   0  the first address of the code
 *   1  the address behind the last one
 *   2  the seed of what follows; 0: no CPU is held
 *   3  the longest time that a CPU is held, in microseconds
 *   4  how often a CPU was held (written by the plugin)
 *
 * A CPU may be held wherever it enters a block of the code: where a function
 * begins, where one that it called returns (that may have taken a lock, or given
 * one back), and behind each branch. One in HOLD_ONE_IN entries is a hold.
 * Each CPU draws from the seed and its own number.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define HOLD_ONE_IN 32

enum { BEGIN, END, SEED, LONGEST, HELD, WORDS };

static volatile uint64_t *control;
/* The code whose blocks are known */
static uint64_t begin, end;

/* One of each CPU */
typedef struct {
    uint64_t seed;
    uint64_t random;
} Cpu;

static struct qemu_plugin_scoreboard *cpus;

static uint64_t draw(Cpu *cpu)
{
    uint64_t z = cpu->random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void entered(unsigned int index, void *unused)
{
    Cpu *cpu = qemu_plugin_scoreboard_find(cpus, index);
    uint64_t seed = control[SEED];
    uint64_t longest = control[LONGEST];
    uint64_t drawn;

    if (!seed || !longest) {
        return;
    }
    if (cpu->seed != seed) {
        cpu->seed = seed;
        cpu->random = seed << 8 | index;
    }
    drawn = draw(cpu);
    if (drawn % HOLD_ONE_IN == 0) {
        __atomic_fetch_add(&control[HELD], 1, __ATOMIC_RELAXED);
        g_usleep((drawn >> 32) % longest);
    }
}

static void install(qemu_plugin_id_t id);

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    uint64_t address = qemu_plugin_tb_vaddr(tb);

    if (control[BEGIN] != begin || control[END] != end) {
        /* All that was translated before is, once more */
        begin = control[BEGIN];
        end = control[END];
        qemu_plugin_reset(id, install);
        return;
    }
    if (address >= begin && address < end) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, entered,
                                             QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
}

static void install(qemu_plugin_id_t id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
}

static bool map_control(const char *path)
{
    int file = open(path, O_RDWR);
    void *mapped;

    if (file < 0 || ftruncate(file, WORDS * sizeof(*control))) {
        return false;
    }
    mapped = mmap(NULL, WORDS * sizeof(*control), PROT_READ | PROT_WRITE,
                  MAP_SHARED, file, 0);
    close(file);
    control = mapped;
    return mapped != MAP_FAILED;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                           const qemu_info_t *info,
                                           int argc, char **argv)
{
    const char *path = argc == 1 ? argv[0] : "";

    if (!g_str_has_prefix(path, "control=") ||
        !map_control(path + strlen("control="))) {
        fprintf(stderr, "holds: control= and a writable file are needed\n");
        return -1;
    }
    cpus = qemu_plugin_scoreboard_new(sizeof(Cpu));
    install(id);
    return 0;
}
