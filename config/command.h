#ifndef CONFIG_COMMAND_H
#define CONFIG_COMMAND_H

/*
 * Lists of words out of one line of text.
 *
 * Words are split as a POSIX shell splits them: blanks separate; a backslash
 * takes the next character as it is; '...' takes everything; "..." takes
 * everything but \" \\ \$ and \`.  Nothing is expanded: no variable, no ~, no
 * pattern, no command.  A word that starts with an unquoted ; # | & < or >
 * would do something else in a shell, or is meant as a comment, so it is
 * refused rather than passed on.
 *
 * Results are NULL-terminated and the caller's, for command_free().  On
 * -EINVAL *why is a constant text that says what is wrong; -ENOMEM sets it too.
 */

/* "redis-server --port 7001": at least one word, and the first not empty. */
int command_split(const char *text, char ***words, const char **why);

/* KEY="v",K2=v2 as supervisord writes it: "KEY=v", "K2=v2".  An unquoted value
 * ends at a comma or blank.  A trailing comma is fine; a repeated key is not. */
int command_environment(const char *text, char ***pairs, const char **why);

/* The same as supervisord reads them (Python's shlex).  A word may begin with any character; within
 * "..." a backslash is special before " and \ only, and in an environment nowhere; of a name that
 * stands twice both are there. */
int command_split_plain(const char *text, char ***words, const char **why);
int command_environment_plain(const char *text, char ***pairs, const char **why);

void command_free(char **list);

#endif
