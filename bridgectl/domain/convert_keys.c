/*
 * What becomes of each key: one table for the conversion and for its documentation. What the record
 * does not have follows from xl_keys.c; what it has is told here. tests/golden/test_domain_keys.py
 * tries a value for every row, and compares doc/domains.md with what is printed.
 */
#include "bridgectl/domain/convert_keys.h"

#include <stdbool.h>
#include <string.h>

#include "bridgectl/domain/xl_keys.h"
#include "common/util.h"

#define SAME FATE_SAME
#define OTHER FATE_OTHER
#define REFUSED FATE_REFUSED

/* clang-format off */
const struct convert_key convert_keys[] = {
	{ "acpi", SAME, "HVM; PV and PVH: always on. UEFI does not do without" },
	{ "acpi", OTHER, "HVM, off: the guest does not notice when it is asked to shut down" },
	{ "apic", SAME, "HVM; PV and PVH: always on" },
	{ "bios", SAME, "BIOS, or UEFI with `ovmf`" },
	{ "boot", SAME,
	  "HVM: `<boot order=…>`. A PV guest starts from the first string of `disk`" },
	{ "boot", OTHER, "`a`: there is no floppy disk" },
	{ "bootargs", OTHER, "left out with the boot loader" },
	{ "bootloader", OTHER,
	  "it read the disk from outside; the guest needs one on its own disk" },
	{ "bootloader_args", OTHER, "left out with the boot loader" },
	{ "builder", SAME, "always `hvm`; what it was decides about defaults" },
	{ "cap", SAME, "`global_quota`" },
	{ "channel", REFUSED, "a channel to a program of the old host" },
	{ "cmdline", OTHER,
	  "it belongs into the boot loader's configuration, on the guest's own disk" },
	{ "cpu_cap", SAME, "`global_quota`" },
	{ "cpu_weight", OTHER, "left out when it is not 256: cgroups count otherwise" },
	{ "cpus", OTHER, "left out: it names CPUs of the old host" },
	{ "description", SAME, "" },
	{ "dhcp", OTHER, "a part of the kernel's command line" },
	{ "disk", SAME, "one disk as the layout has it; CD-ROM drives" },
	{ "disk", OTHER,
	  "`w!` is `shareable`; what is in a drive has to be there; no disk without a "
	  "medium" },
	{ "disk", REFUSED,
	  "`disk.medium`, `disk.format`: a drive's is no raw image with an absolute "
	  "path; `disk.backend`, `disk.colo`" },
	{ "extra", OTHER, "a part of the kernel's command line" },
	{ "firmware", SAME, "BIOS, or UEFI with `ovmf`" },
	{ "firmware", OTHER, "`pvgrub64`: the guest needs a boot loader on its own disk" },
	{ "firmware", REFUSED, "a file of the host" },
	{ "gateway", OTHER, "a part of the kernel's command line" },
	{ "hap", OTHER, "left out: KVM decides for all guests" },
	{ "hdtype", SAME, "the bus of an HVM guest's disks" },
	{ "hostname", OTHER, "a part of the kernel's command line" },
	{ "hpet", SAME, "HVM; PV and PVH: none" },
	{ "interface", OTHER, "a part of the kernel's command line" },
	{ "ip", OTHER, "a part of the kernel's command line" },
	{ "kernel", SAME, "`hvmloader`: the guest is HVM" },
	{ "kernel", OTHER,
	  "a file of the Xen host; the guest needs a kernel and a boot loader on its own "
	  "disk" },
	{ "keymap", SAME, "" },
	{ "keymap", OTHER, "left out when it is no layout's name" },
	{ "localtime", SAME, "HVM" },
	{ "localtime", OTHER, "PV and PVH: UTC" },
	{ "maxmem", OTHER,
	  "`memory`: the guest starts with all of it until its balloon driver gives some "
	  "back" },
	{ "maxvcpus", SAME, "" },
	{ "memory", SAME, "`currentMemory`; it has to be there" },
	{ "name", SAME, "" },
	{ "nestedhvm", OTHER, "what the new host's kvm module allows" },
	{ "netmask", OTHER, "a part of the kernel's command line" },
	{ "nics", OTHER, "so many interfaces, of which some have no MAC address: `--mac`" },
	{ "nographic", SAME, "no display" },
	{ "nx", SAME, "HVM" },
	{ "on_crash", SAME, "and `preserve`, `coredump-destroy`, `coredump-restart`" },
	{ "on_crash", OTHER, "others: the nearest" },
	{ "on_poweroff", SAME, "`destroy`, `restart`" },
	{ "on_poweroff", OTHER, "others: the nearest of the two" },
	{ "on_reboot", SAME, "`destroy`, `restart`" },
	{ "on_reboot", OTHER, "others: the nearest of the two" },
	{ "on_watchdog", OTHER, "left out: there is no watchdog" },
	{ "pae", SAME, "HVM; PV and PVH: always on" },
	{ "pci", REFUSED, "a device of the old host" },
	{ "pvh", SAME, "always `hvm`; what it was decides about defaults" },
	{ "ramdisk", OTHER, "a file of the Xen host; the guest's own disk needs one" },
	{ "root", OTHER, "a part of the kernel's command line" },
	{ "rtc_timeoffset", SAME, "HVM" },
	{ "rtc_timeoffset", OTHER, "PV and PVH: UTC" },
	{ "sdl", OTHER, "VNC" },
	{ "serial", SAME, "one console" },
	{ "serial", REFUSED, "a second one, or a file, a device, a port" },
	{ "soundhw", SAME, "HVM: `ac97`, `es1370`, `sb16`, `hda`, `all`" },
	{ "soundhw", REFUSED, "others" },
	{ "spice", OTHER, "VNC" },
	{ "stdvga", SAME, "`vga`, as without it" },
	{ "type", SAME, "always `hvm`; what it was decides about defaults" },
	{ "usb", SAME, "a controller" },
	{ "usbdevice", SAME, "`tablet`, `mouse`, `keyboard`" },
	{ "usbdevice", REFUSED, "a device of the host" },
	{ "usbversion", SAME, "" },
	{ "uuid", SAME, "none in the file: libvirt makes one" },
	{ "vcpus", SAME, "" },
	{ "vfb", SAME, "VNC on 127.0.0.1" },
	{ "vfb", OTHER, "other addresses, a password, SDL" },
	{ "vga", SAME, "`stdvga`; `none`: no display" },
	{ "vga", OTHER, "`cirrus`, `qxl`: `vga`" },
	{ "vga", REFUSED, "others" },
	{ "videoram", SAME, "rounded up to a power of two" },
	{ "vif", SAME,
	  "MAC address, bridge (`--bridge`), `mtu`, `vifname`, `rate`. Models: PV "
	  "virtio; HVM `rtl8139`, as in Xen, `e1000`, `e1000e`, `pcnet`, `ne2k_pci`; "
	  "`type=vif`: virtio" },
	{ "vif", OTHER,
	  "`ip`, `gatewaydev`: no rules on the new host; the interval of `rate`; a "
	  "`vifname` like libvirt's own" },
	{ "vif", REFUSED,
	  "`vif.model`: others; `vif.script` (but `vif-bridge`), `vif.backend`, "
	  "`vif.accel` and its like" },
	{ "viridian", SAME, "relaxed, vapic, spinlocks, clock" },
	{ "viridian", OTHER, "left out with `--type qemu`" },
	{ "vnc", SAME, "on 127.0.0.1" },
	{ "vncdisplay", SAME, "unless `vncunused` is on" },
	{ "vnclisten", OTHER, "127.0.0.1" },
	{ "vncpasswd", OTHER, "no password: nobody else reaches 127.0.0.1" },
	{ "vncunused", SAME, "" },
	{ "xen_platform_pci", OTHER, "left out: the guest needs other drivers" },
};
/* clang-format on */
const unsigned convert_keys_len = ARRAY_SIZE(convert_keys);

static const char *const marks[] = {
	[FATE_SAME] = "=", [FATE_OTHER] = "≈", [FATE_REFUSED] = "✗", [FATE_LEFT] = "–"
};

static void print_used(FILE *f, const char *key, const char *tool)
{
	bool first = true;

	for (unsigned i = 0; i < convert_keys_len; i++) {
		const struct convert_key *k = &convert_keys[i];

		if (strcmp(k->key, key) != 0)
			continue;
		if (first)
			fprintf(f, "| `%s` | %s | %s | %s |\n", key, tool, marks[k->fate], k->text);
		else
			fprintf(f, "| | | %s | %s |\n", marks[k->fate], k->text);
		first = false;
	}
}

void convert_keys_print(FILE *f)
{
	static const char *const tools[] = {
		[XL_TOOL_BOTH] = "", [XL_TOOL_XL] = "xl", [XL_TOOL_XM] = "xm"
	};

	fputs("| key | only in | | under KVM |\n|---|---|---|---|\n", f);
	for (unsigned i = 0; i < xl_keys_len; i++) {
		const struct xl_key *k = &xl_keys[i];

		if (k->use == XL_KEY_USED)
			print_used(f, k->key, tools[k->tool]);
		else
			fprintf(f, "| `%s` | %s | %s | %s%s%s |\n", k->key, tools[k->tool],
				marks[k->use == XL_KEY_LOST ? FATE_REFUSED : FATE_LEFT], k->note,
				k->neutral ? "; nothing is lost with: " : "",
				k->neutral ? k->neutral : "");
	}
}
