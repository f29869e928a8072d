/* `bridgectl disk verify`: compares two disks by their digests; nothing is written. */
#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/disk_run.h"

enum exit_code cmd_disk_verify(struct cmd_call *call)
{
	char run_dir[DISK_RUN_DIR_LEN] = "";
	struct conduct_options o;

	if (!disk_run_options(call, &o, run_dir))
		return EXIT_USAGE;
	o.kind = CONDUCT_VERIFY;
	/* What is on it is what we want to see. */
	o.target.overwrite = true;
	o.run_dir = NULL;
	return disk_run(call, &o);
}
