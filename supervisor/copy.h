#ifndef SUPERVISOR_COPY_H
#define SUPERVISOR_COPY_H

/*
 * Copies this program and the library beside it to FOLDER/bin/spillway and
 * FOLDER/lib/libspillway.so, for an init container that leaves both in a volume: our image has no
 * other program that could. FOLDER has to be there.  A file that is there is replaced as a whole.
 * The exit status; what went wrong is said on stderr.
 */
int copy_to(const char *folder);

#endif
