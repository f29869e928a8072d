/*
 * The rules in their order. The first one reads what the old names of disks mean, so the fstab that
 * others look things up in has lasting names by then; the last one speaks about all of it.
 */
#include "bridgectl/fixup/edit_private.h"

const struct edit_rule edit_rules[] = {
	{ "fstab", edit_fstab },
	{ "kernel", edit_kernel },
	{ "menu.lst", edit_menu_lst },
	{ "grub", edit_grub_cfg },
	{ "boot files", edit_boot_files },
	{ "console", edit_console },
	{ "network", edit_net },
	{ "modules", edit_modules },
	{ "misc", edit_misc },
	{ NULL, NULL },
};
