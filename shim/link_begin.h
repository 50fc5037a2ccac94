#ifndef SHIM_LINK_BEGIN_H
#define SHIM_LINK_BEGIN_H

/*
 * Joins the link that the environment names (protocol.h), where it names one and the process is in
 * no sandbox, whose maker foresaw no socket.  library: its file's name, for the one line on stderr
 * when the text is bad, or the supervisor's of another version.  By the constructor.
 */
void link_begin(char **environment, const char *library);

#endif
