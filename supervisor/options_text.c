/* What --help, --version and -l say. */
#include <stdlib.h>

#include "supervisor/options_peer.h"

#define STATUS_USAGE 2
#define STATUS_USAGE_PEER 1

/* At most 24 lines of 80 columns, as a terminal has at least. */
const char *options_help(void)
{
	return "usage: spillway [OPTIONS] [--] COMMAND [ARGUMENTS...]  run one service\n"
	       "       spillway [OPTIONS] run FILE.ini                 run several\n"
	       "       spillway check FILE.ini                         check a file, run nothing\n"
	       "       spillway copy-to FOLDER                         copy it and its libraries\n"
	       "\n"
	       "Runs services, watches how near they are to their memory limit, and has their\n"
	       "heaps give idle memory back before the kernel kills for it.\n"
	       "\n"
	       "  -v, --verbose             say more; twice: everything\n"
	       "  -q, --quiet               say less; twice: errors only\n"
	       "  -h, --help                this; --help-all: every option\n"
	       "  -V, --version             the version\n"
	       "\n"
	       "For one service (a file has keys for these):\n"
	       "      --memory-max=SIZE     its limit, as 512M or 80%\n"
	       "      --shim=auto|off       whether to preload libspillway.so; auto by default\n"
	       "      --stop-wait=DURATION  how long until what is left is killed, usually 10s\n"
	       "  -g                        pass signals on to the command's process group\n"
	       "\n"
	       "The options of tini, dumb-init and catatonit are known by their names.  See\n"
	       "spillway(1), spillway.ini(5), spillctl(1).\n";
}

const char *options_help_all(void)
{
	return "usage: spillway [OPTIONS] [--] COMMAND [ARGUMENTS...]  run one service\n"
	       "       spillway [OPTIONS] run FILE.ini                 run several\n"
	       "       spillway check FILE.ini                         check a file, run nothing\n"
	       "       spillway copy-to FOLDER                         copy it and its libraries\n"
	       "                                                       to FOLDER/bin, FOLDER/lib\n"
	       "\n"
	       "Runs services, watches how near they are to their memory limit, and has their\n"
	       "heaps give idle memory back before the kernel kills for it.\n"
	       "\n"
	       "  -v, --verbose             say more; twice: everything\n"
	       "  -q, --quiet               say less; twice: errors only.  Of one service what\n"
	       "                            happens to it is said: a level, a brake, a kill\n"
	       "  -h, --help, help; --help-all; -V, --version; -l, --license\n"
	       "                            say that and exit\n"
	       "\n"
	       "For one service (a file has keys for these):\n"
	       "      --memory-max=SIZE     its limit, as 512M or 80%\n"
	       "      --memory-high=SIZE    from where on the kernel slows it down\n"
	       "      --shim=auto|off       whether to preload libspillway.so; auto by default\n"
	       "      --allocator=spillway|keep|auto\n"
	       "                            whose malloc it has: that library's, its own, which\n"
	       "                            libspillway-agent.so steers, or by its program;\n"
	       "                            spillway by default\n"
	       "      --runtime=auto|off|node|java|go|dotnet|python|php|ruby\n"
	       "                            which language runtime it is; auto: as its program\n"
	       "                            shows\n"
	       "      --runtime-limits=yes|no\n"
	       "                            whether a runtime that has no limit of its own is\n"
	       "                            given one below the memory limit; no by default\n"
	       "      --name=NAME           its name in the log; the command's by default\n"
	       "      --pressure-signals=SIGNAL:LEVEL,...|off\n"
	       "                            signals that ask it to give back memory, by default\n"
	       "                            RTMIN+1:lazy,RTMIN+2:eager,RTMIN+3:full; all\n"
	       "                            others are passed on to it\n"
	       "      --scavenge=adaptive|off|go1.11|go1.12|go1.13|decay\n"
	       "                            what decides at calm which idle memory goes;\n"
	       "                            adaptive by default\n"
	       "      --madvise=auto|dontneed\n"
	       "                            how it goes: as that says, or always MADV_DONTNEED\n"
	       "      --scavenge-cpu=SHARE  of one CPU, the most that may take; 1% by default\n"
	       "      --core-worth=SIZE     so much idle memory costs as much as one busy CPU;\n"
	       "                            1G by default\n"
	       "\n"
	       "As an init (options of tini, dumb-init and catatonit, by their names; called\n"
	       "as one of these, spillway is that one):\n"
	       "      --stop-wait=DURATION|unlimited\n"
	       "                            after TERM, INT or QUIT, or the command's own end:\n"
	       "                            how long until what is left is killed; 10s by\n"
	       "                            default.  Given, the command itself is killed, too\n"
	       "  -g                        pass signals on to the command's process group\n"
	       "      --session             the same, and the group is a session of its own\n"
	       "  -r, --rewrite S:D         pass D on for signal S, nothing where D is 0;\n"
	       "                            implies --session, unless -c or -g is given\n"
	       "  -c, --single-child        signal the command alone; leave what it leaves\n"
	       "  -e STATUS                 exit with 0 instead of it; may be repeated\n"
	       "  -p SIGNAL                 get it when our parent ends, and pass it on\n"
	       "  -w                        tell of each orphan that is reaped\n"
	       "  -s                        accepted: orphans are always reaped\n"
	       "  -P                        run nothing, reap orphans until TERM or INT\n"
	       "\n"
	       "A wrapped command's exit status is passed on, 128+N where signal N ended it;\n"
	       "127 it was not found, 126 it could not be run, 2 wrong usage.  run exits with 0\n"
	       "when it was told to stop or all services ended well, with 1 when they did not.\n";
}

const char *options_licence(void)
{
	return "MIT License\n"
	       "\n"
	       "Copyright (c) 2026 The spillway developers\n"
	       "\n"
	       "Permission is hereby granted, free of charge, to any person obtaining a copy\n"
	       "of this software and associated documentation files (the \"Software\"), to deal\n"
	       "in the Software without restriction, including without limitation the rights\n"
	       "to use, copy, modify, merge, publish, distribute, sublicense, and/or sell\n"
	       "copies of the Software, and to permit persons to whom the Software is\n"
	       "furnished to do so, subject to the following conditions:\n"
	       "\n"
	       "The above copyright notice and this permission notice shall be included in all\n"
	       "copies or substantial portions of the Software.\n"
	       "\n"
	       "THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR\n"
	       "IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,\n"
	       "FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE\n"
	       "AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER\n"
	       "LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,\n"
	       "OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE\n"
	       "SOFTWARE.\n";
}

/* docker and podman read the second word and what follows; catatonit answers in this way as well.
 */
const char *options_version(enum options_peer peer)
{
	switch (peer) {
	case OPTIONS_PEER_TINI:
	case OPTIONS_PEER_CATATONIT:
		return "tini version " SPILLWAY_VERSION "_spillway\n";
	case OPTIONS_PEER_DUMB_INIT:
		return "dumb-init v" SPILLWAY_VERSION "_spillway\n";
	case OPTIONS_PEER_NONE:
		break;
	}
	return "spillway " SPILLWAY_VERSION "\n";
}

int options_usage_status(const char *program)
{
	return options_peer(program) == OPTIONS_PEER_NONE ? STATUS_USAGE : STATUS_USAGE_PEER;
}
