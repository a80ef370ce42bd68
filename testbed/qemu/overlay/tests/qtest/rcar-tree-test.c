/*
 * QTests for the machine that a device tree describes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The trees are written here, byte by byte: what a library refuses to write is
 * what the machine has to refuse to read.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqtest.h"

#define FDT_MAGIC       0xd00dfeed
#define FDT_HEADER      40
#define FDT_RESERVED    16              /* its end alone */

#define ROOT_BASE       0x10000000
#define CACHE_BASE      0x20000000
#define IMCTR           0x000
#define IMUCTR          0x300
#define RAM_BASE        0x80000000

/* A SYS-DMAC of Gen4: its channels are elsewhere */
#define DMAC_BASE       0x40000000
#define DMAOR           (DMAC_BASE + 0x60)
#define CHANNELS_BASE   0x50000000
#define CHANNEL(n)      (CHANNELS_BASE + 0x1000 * (n))
#define DMASAR          0x00
#define DMADAR          0x04
#define DMATCR          0x08
#define DMACHCR         0x0c
#define CHCR_COPY       0x5411          /* 4 bytes, upwards, by software */
#define CHCR_TE         0x2
#define DMACHCLR        0x100

enum { GIC_PHANDLE = 1, ROOT_PHANDLE, CACHE_PHANDLE, MISSING = 99 };

typedef struct Writer {
    GByteArray *structure;
    GByteArray *strings;
} Writer;

static void put(GByteArray *bytes, uint32_t cell)
{
    cell = cpu_to_be32(cell);
    g_byte_array_append(bytes, (uint8_t *)&cell, 4);
}

static void put_padded(GByteArray *bytes, const void *value, unsigned size)
{
    static const uint8_t zeros[3];

    g_byte_array_append(bytes, value, size);
    g_byte_array_append(bytes, zeros, -bytes->len % 4);
}

static void begin(Writer *w, const char *name)
{
    put(w->structure, 1);
    put_padded(w->structure, name, strlen(name) + 1);
}

static void end(Writer *w)
{
    put(w->structure, 2);
}

static void property(Writer *w, const char *name, const void *value,
                     unsigned size)
{
    put(w->structure, 3);
    put(w->structure, size);
    put(w->structure, w->strings->len);
    put_padded(w->structure, value, size);
    g_byte_array_append(w->strings, (const uint8_t *)name, strlen(name) + 1);
}

static void text(Writer *w, const char *name, const char *value)
{
    property(w, name, value, strlen(value) + 1);
}

static void cells(Writer *w, const char *name, unsigned count, ...)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    va_list args;

    va_start(args, count);
    while (count--) {
        put(value, va_arg(args, uint32_t));
    }
    va_end(args);
    property(w, name, value->data, value->len);
}

static void write_system(Writer *w)
{
    cells(w, "#address-cells", 1, 1);
    cells(w, "#size-cells", 1, 1);
    cells(w, "interrupt-parent", 1, GIC_PHANDLE);
    begin(w, "chosen");
    text(w, "stdout-path", "/serial@30000000:115200n8");
    end(w);
    begin(w, "memory@80000000");
    text(w, "device_type", "memory");
    cells(w, "reg", 2, RAM_BASE, 0x100000);
    end(w);
    begin(w, "cpus");
    cells(w, "#address-cells", 1, 1);
    cells(w, "#size-cells", 1, 0);
    begin(w, "cpu@100");
    text(w, "device_type", "cpu");
    text(w, "compatible", "arm,cortex-a53");
    cells(w, "reg", 1, 0x100);
    end(w);
    end(w);
    begin(w, "interrupt-controller@f1000000");
    text(w, "compatible", "arm,gic-v3");
    cells(w, "reg", 4, 0xf1000000, 0x20000, 0xf1060000, 0x110000);
    cells(w, "#interrupt-cells", 1, 3);
    cells(w, "interrupts", 3, 1, 9, 4);
    cells(w, "phandle", 1, GIC_PHANDLE);
    end(w);
    begin(w, "timer");
    text(w, "compatible", "arm,armv8-timer");
    cells(w, "interrupts", 12, 1, 13, 8, 1, 14, 8, 1, 11, 8, 1, 10, 8);
    end(w);
    begin(w, "serial@30000000");
    text(w, "compatible", "renesas,hscif");
    cells(w, "reg", 2, 0x30000000, 0x60);
    cells(w, "interrupts", 3, 0, 5, 4);
    end(w);
}

static void write_ipmmus(Writer *w, uint32_t root)
{
    begin(w, "iommu@20000000");
    text(w, "compatible", "renesas,ipmmu-r8a7795");
    cells(w, "reg", 2, CACHE_BASE, 0x1000);
    cells(w, "renesas,ipmmu-main", 2, root, 0);
    cells(w, "phandle", 1, CACHE_PHANDLE);
    end(w);
    begin(w, "iommu@10000000");
    text(w, "compatible", "renesas,ipmmu-r8a7795");
    cells(w, "reg", 2, ROOT_BASE, 0x1000);
    cells(w, "interrupts", 3, 0, 6, 4);
    cells(w, "phandle", 1, ROOT_PHANDLE);
    end(w);
}

static void write_dmac(Writer *w)
{
    static const char names[] = "error\0ch0\0ch1";

    begin(w, "dma-controller@40000000");
    text(w, "compatible", "renesas,rcar-gen4-dmac");
    cells(w, "reg", 4, DMAC_BASE, 0x1000, CHANNELS_BASE, 0x10000);
    cells(w, "interrupts", 9, 0, 7, 4, 0, 8, 4, 0, 9, 4);
    property(w, "interrupt-names", names, sizeof(names));
    cells(w, "dma-channels", 1, 2);
    end(w);
}

/* A tree whose cache is one of the node with phandle @root; returns its file */
static char *write_tree(uint32_t root)
{
    Writer w = { g_byte_array_new(), g_byte_array_new() };
    g_autoptr(GByteArray) blob = g_byte_array_new();
    static const uint8_t reserved[FDT_RESERVED];
    unsigned structure = FDT_HEADER + FDT_RESERVED, strings;
    char *name = NULL;
    int fd;

    begin(&w, "");
    write_system(&w);
    write_ipmmus(&w, root);
    write_dmac(&w);
    end(&w);
    put(w.structure, 9);
    strings = structure + w.structure->len;

    put(blob, FDT_MAGIC);
    put(blob, strings + w.strings->len);
    put(blob, structure);
    put(blob, strings);
    put(blob, FDT_HEADER);
    put(blob, 17);
    put(blob, 16);
    put(blob, 0);
    put(blob, w.strings->len);
    put(blob, w.structure->len);
    g_byte_array_append(blob, reserved, sizeof(reserved));
    g_byte_array_append(blob, w.structure->data, w.structure->len);
    g_byte_array_append(blob, w.strings->data, w.strings->len);

    fd = g_file_open_tmp("rcar-tree-XXXXXX", &name, NULL);
    g_assert_cmpint(write(fd, blob->data, blob->len), ==, blob->len);
    close(fd);
    g_byte_array_unref(w.structure);
    g_byte_array_unref(w.strings);
    return name;
}

/* QEMU ends, with one line about the tree that has @what in it */
static void expect_refusal(const char *dtb, const char *what)
{
    g_autofree char *said = NULL;
    int status;
    const char *command[] = {
        g_getenv("QTEST_QEMU_BINARY"), "-M", "rcar-ipmmu", "-display", "none",
        "-dtb", dtb, "-accel", "qtest", NULL
    };

    g_assert(g_spawn_sync(NULL, (char **)command, NULL, 0, NULL, NULL, NULL,
                          &said, &status, NULL));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_nonnull(strstr(said, what));
    g_assert_cmpint(strcspn(said, "\n"), ==, strlen(said) - 1);
}

/* IPMMUs and RAM are where the tree has them; elsewhere is nothing */
static void test_made(void)
{
    g_autofree char *dtb = write_tree(ROOT_PHANDLE);
    QTestState *qts = qtest_initf("-M rcar-ipmmu -dtb %s", dtb);

    qtest_writel(qts, ROOT_BASE + IMCTR, 4);
    g_assert_cmphex(qtest_readl(qts, ROOT_BASE + IMCTR), ==, 4);
    qtest_writel(qts, CACHE_BASE + IMUCTR, 1);
    g_assert_cmphex(qtest_readl(qts, CACHE_BASE + IMUCTR), ==, 1);
    qtest_writel(qts, RAM_BASE, 0x12345678);
    g_assert_cmphex(qtest_readl(qts, RAM_BASE), ==, 0x12345678);
    qtest_writel(qts, 0xe6150000, 1);
    g_assert_cmphex(qtest_readl(qts, 0xe6150000), ==, 0);
    qtest_quit(qts);
    unlink(dtb);
}

static void test_gen4_dmac(void)
{
    g_autofree char *dtb = write_tree(ROOT_PHANDLE);
    QTestState *qts = qtest_initf("-M rcar-ipmmu -dtb %s", dtb);

    qtest_writel(qts, RAM_BASE, 0x12345678);
    qtest_writew(qts, DMAOR, 1);
    qtest_writel(qts, CHANNEL(1) + DMASAR, RAM_BASE);
    qtest_writel(qts, CHANNEL(1) + DMADAR, RAM_BASE + 0x100);
    qtest_writel(qts, CHANNEL(1) + DMATCR, 1);
    qtest_writel(qts, CHANNEL(1) + DMACHCR, CHCR_COPY);
    while (!(qtest_readl(qts, CHANNEL(1) + DMACHCR) & CHCR_TE)) {
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readl(qts, RAM_BASE + 0x100), ==, 0x12345678);
    g_assert_cmphex(qtest_readl(qts, CHANNEL(0) + DMACHCR), ==, 0);
    qtest_writel(qts, CHANNEL(1) + DMACHCLR, 1);
    g_assert_cmphex(qtest_readl(qts, CHANNEL(1) + DMACHCR), ==, 0);
    qtest_quit(qts);
    unlink(dtb);
}

static void test_no_blob(void)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("rcar-tree-XXXXXX", &name, NULL);

    g_assert_cmpint(write(fd, "/dts-v1/;", 9), ==, 9);
    close(fd);
    expect_refusal(name, "is not a device tree blob");
    unlink(name);
    expect_refusal(name, "cannot read device tree");
}

/* A cache belongs to a root, not to a missing node, and not to another cache */
static void test_no_root(void)
{
    g_autofree char *missing = write_tree(MISSING);
    g_autofree char *cache = write_tree(CACHE_PHANDLE);

    expect_refusal(missing, "/iommu@20000000: renesas,ipmmu-main refers to no");
    expect_refusal(cache, "/iommu@20000000: renesas,ipmmu-main is no root");
    unlink(missing);
    unlink(cache);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rcar-tree/made", test_made);
    qtest_add_func("rcar-tree/gen4-dmac", test_gen4_dmac);
    qtest_add_func("rcar-tree/no-blob", test_no_blob);
    qtest_add_func("rcar-tree/no-root", test_no_root);
    return g_test_run();
}
