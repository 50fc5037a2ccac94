#ifndef SUPERVISOR_BASE_RESIDENT_H
#define SUPERVISOR_BASE_RESIDENT_H

/*
 * Gives memory back to the kernel that this process has used and will hardly use again soon: for
 * whoever is about to wait for a long time.  What is needed again is read from the page cache, at a
 * fault for 64 KiB.
 *
 *   - the pages of the program, and of libraries, that nobody writes: code, constants
 *   - whole pages of the heap that are free
 *   - the stack below the caller's frame
 *
 * What a debugger has written into the code (breakpoints) is lost.  For the first thread only.
 */
void resident_give_back(void);

#endif
