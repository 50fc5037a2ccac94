/* The page that shows the metrics in a browser: dashboard.html, as it is. */
#include "supervisor/fleet/fleet_control.h"

__asm__(".pushsection .rodata\n"
	".globl fleet_dashboard\n"
	".hidden fleet_dashboard\n"
	"fleet_dashboard:\n"
	".incbin \"supervisor/fleet/dashboard.html\"\n"
	".byte 0\n"
	".popsection");
