#ifndef SUPERVISOR_PAUSE_H
#define SUPERVISOR_PAUSE_H

/* Runs nothing, as the init of a pod does: reaps what comes to us as orphans until TERM or INT ends
 * it.  The exit status. */
int pause_run(void);

#endif
