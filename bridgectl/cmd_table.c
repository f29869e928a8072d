/* Every command that bridgectl has. In the order of the help. */
#include "bridgectl/cmd.h"
#include "bridgectl/cmd/cmds.h"
#include "common/util.h"

const struct cmd_option cmd_global_options[] = {
	{ "--socket", 's', "SOCKET", "the daemon's control socket (/run/l2tund/control.sock)" },
	{ "--json", 0, NULL, "JSON instead of text" },
	{ "--quiet", 'q', NULL, "no text when all went well" },
	{ "--verbose", 'v', NULL, "more detail in text" },
	{ "--color", 0, "WHEN", "auto (on a terminal), always or never" },
	{ "--help", 'h', NULL, "this help; after a command, help about it" },
	{ "--version", 'V', NULL, "print the version of bridgectl" },
};
const unsigned cmd_global_options_len = ARRAY_SIZE(cmd_global_options);

const struct cmd cmd_table[] = {
	{ .words = "status",
	  .args = "",
	  .summary = "one screen: what needs attention, bridges, peers, tunnels",
	  .fn = cmd_status },
	{ .words = "check",
	  .args = "",
	  .options = { { "--tunnel", 0, "TUNNEL", "only this one" },
		       { "--loss", 0, "PERCENT", "loss of a peer from which to warn (2)" } },
	  .summary = "for monitoring: one line with performance data",
	  .text = "Prints one line as monitoring plugins do and exits with 0 (ok), 1 (warning: "
		  "standby with nothing forwarding beside it, or loss), 2 (critical: down, "
		  "blocked, latched, refused) or 3 (unknown: no daemon, no such tunnel).",
	  .fn = cmd_check },
	{ .words = "tunnel list",
	  .args = "",
	  .summary = "all tunnels with state and traffic",
	  .fn = cmd_tunnel_list },
	{ .words = "tunnel show",
	  .args = "TUNNEL",
	  .summary = "everything about one tunnel",
	  .fn = cmd_tunnel_show },
	{ .words = "tunnel up",
	  .args = "TUNNEL",
	  .summary = "let a tunnel work again that was switched off",
	  .fn = cmd_tunnel_up },
	{ .words = "tunnel down",
	  .args = "TUNNEL",
	  .summary = "switch a tunnel off until `tunnel up` or a restart",
	  .fn = cmd_tunnel_down },
	{ .words = "tunnel clear",
	  .args = "TUNNEL",
	  .summary = "forget latches and hold-downs: the cause was found",
	  .fn = cmd_tunnel_clear },
	{ .words = "tunnel why",
	  .args = "TUNNEL",
	  .summary = "the chain of evidence behind a tunnel's state",
	  .fn = cmd_tunnel_why },
	{ .words = "bridge list",
	  .args = "",
	  .summary = "all bridges with their ports",
	  .fn = cmd_bridge_list },
	{ .words = "bridge show",
	  .args = "BRIDGE",
	  .summary = "one bridge, its ports and their kinds",
	  .fn = cmd_bridge_show },
	{ .words = "bridge fdb",
	  .args = "BRIDGE",
	  .summary = "MAC addresses and on which side they are",
	  .fn = cmd_bridge_fdb },
	{ .words = "announce",
	  .args = "BRIDGE",
	  .options = { { "--mac", 0, "MAC", "announce this address alone" } },
	  .summary = "make the other side relearn where addresses are",
	  .text = "Sends one RARP broadcast for each address behind this host's own ports of the "
		  "bridge through its forwarding tunnels, so that switches and "
		  "bridges there relearn it at once. The daemon does this by itself when a tunnel "
		  "begins to forward.",
	  .fn = cmd_announce },
	{ .words = "peer list",
	  .args = "",
	  .summary = "all peers with round trip, loss and traffic",
	  .fn = cmd_peer_list },
	{ .words = "peer show",
	  .args = "PEER",
	  .summary = "everything about one peer",
	  .fn = cmd_peer_show },
	{ .words = "topology",
	  .args = "",
	  .options = { { "--dot", 0, NULL, "as a graph for Graphviz" },
		       { "--svg", 0, NULL, "as a picture, drawn by Graphviz" } },
	  .summary = "all nodes and tunnels that this node knows, and what forwards",
	  .text = "Draws a tree for each Ethernet: bridges as node:bridge, joined by the tunnels "
		  "that forward; under a bridge, what stands by or is blocked, and why. A foreign "
		  "path joins bridges too and is not ours. Nodes that do not agree with this one "
		  "yet are named in the first line. --svg needs the package graphviz on this host.",
	  .fn = cmd_topology },
	{ .words = "events",
	  .args = "",
	  .options = { { "--follow", 'f', NULL, "go on with new ones as they come" },
		       { "--lines", 'n', "COUNT", "at most so many old ones (all; 10 with -f)" } },
	  .summary = "state changes with their reasons",
	  .text = "Prints the state changes that the daemon remembers (the last 256), the newest "
		  "last. With --json they are one object; with --follow as well, or with --lines, "
		  "one object per line.",
	  .fn = cmd_events },
	{ .words = "domain show",
	  .args = "FILE",
	  .options = { { "--accept-loss", 0, "KEY", "let go of this key; may be repeated" } },
	  .summary = "what a guest's Xen configuration file says",
	  .text = "Reads a file of `xl create` or `xm create`, - for standard input, and prints the "
		  "guest as it was understood: how it boots, what each disk is made of, network "
		  "interfaces. Nothing of the file is ever run. What is in the file and cannot be "
		  "carried to another hypervisor is listed; then the exit code is 1, unless "
		  "--accept-loss names the key.",
	  .fn = cmd_domain_show },
	{ .words = "disk layout",
	  .args = "CONFIG",
	  .options = { { "--from", 0, "HOST", "the host that has the sources, by ssh" },
		       { "--commands", 0, NULL, "a shell script that does it by hand" },
		       { "--vg", 0, "VG", "new volumes in this volume group" },
		       { "--dir", 0, "DIR", "new raw files in this folder" },
		       { "--label", 0, "LABEL", "msdos or gpt, not what fits" },
		       { "--copy-swap", 0, NULL, "copy swap as it is, make none anew" },
		       { "--grow-last", 0, "SIZE", "more room in the last partition, [DISK:]10G" },
		       { "--accept-loss", 0, "KEY", "let go of this key; may be repeated" },
		       { "--ssh", 0, "COMMAND", "not ssh -oBatchMode=yes" },
		       { "--remote-bridgectl", 0, "PATH", "where it is on HOST" } },
	  .summary = "what disks a guest would get; writes nothing",
	  .text = "Reads a guest's Xen configuration, - for standard input, looks at its volumes "
		  "and prints the disks that they would become: every partition with its start "
		  "and size in sectors, what is copied, made anew or zeroed. With --vg or --dir it "
		  "says whether there is room. Sources may be in use: they are only read.",
	  .fn = cmd_disk_layout },
	{ .words = "reload",
	  .args = "",
	  .summary = "read the configuration again",
	  .text = "Makes the daemon read l2tund.conf again and prints what changed. A file with "
		  "errors changes nothing; all errors are listed.",
	  .fn = cmd_reload },
	{ .words = "log",
	  .args = "LEVEL [AREA]",
	  .summary = "how much the daemon logs, everywhere or in one area",
	  .text = "Levels: err, warn, notice, info, debug. Areas: core, config, session, topology, "
		  "datapath, kernel, control. Holds until the daemon restarts.",
	  .fn = cmd_log },
	{ .words = "keygen",
	  .args = "",
	  .options = { { "--init", 0, NULL, "write this host's key file, print what others need" },
		       { "--file", 0, "FILE", "with --init: not /etc/l2tund/private.key" } },
	  .summary = "make a private key",
	  .text = "Prints a new private key. With --init it is written to /etc/l2tund/private.key "
		  "instead, readable by its owner only, never over an existing file, and the "
		  "public key and a peer block to paste on the other host are printed.",
	  .fn = cmd_keygen },
	{ .words = "pubkey",
	  .args = "",
	  .summary = "read a private key, print its public key",
	  .fn = cmd_pubkey },
	{ .words = "genpsk", .args = "", .summary = "make a preshared key", .fn = cmd_genpsk },
	{ .words = "completion",
	  .args = "SHELL",
	  .summary = "print the completion script for a shell (bash)",
	  .fn = cmd_completion },
	{ .words = "help",
	  .args = "[COMMAND...]",
	  .summary = "help, about everything or one command",
	  .fn = cmd_help },
};
const unsigned cmd_table_len = ARRAY_SIZE(cmd_table);
