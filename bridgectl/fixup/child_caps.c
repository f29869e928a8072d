/*
 * Capabilities of a process that reads or writes the files of a mounted guest, whose owners are
 * anybody. Set by capset(2) itself: which of them are left is all there is to say. Nobody executes
 * anything afterwards, so the bounding set does not matter.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bridgectl/fixup/child.h"
#include "common/util.h"

#define BIT(cap) (UINT64_C(1) << (cap))

static const uint64_t kept[] = {
	[CHILD_READS] = BIT(CAP_DAC_READ_SEARCH),
	/* The last one: to unmount, and for extended attributes of SELinux. */
	[CHILD_WRITES] = BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_CHOWN) |
			 BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETFCAP) | BIT(CAP_SYS_ADMIN),
};

int child_caps_begin(enum child_rights rights)
{
	if (rights == CHILD_READS && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int child_caps_end(enum child_rights rights)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	uint64_t caps = kept[rights];
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps },
		{ .effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32) },
	};

	if (!caps)
		return 0; /* the change of the user has taken them all */
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}
