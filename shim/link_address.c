/* Takes the text apart by which the environment names a link. */
#include "shim/link.h"

#include <errno.h>
#include <string.h>

/* Digits up to the separator, bounded by max; the rest of the text, or NULL. */
static const char *number_parse(const char *text, char separator, uint64_t max, uint64_t *value)
{
	*value = 0;
	if (*text == separator)
		return NULL;
	for (; *text != separator; text++) {
		if (*text < '0' || *text > '9')
			return NULL;
		uint64_t digit = (uint64_t)(*text - '0');
		if (*value > (max - digit) / 10)
			return NULL;
		*value = *value * 10 + digit;
	}
	return text + 1;
}

/* FD:DEVICE:INODE: of one file; the rest of the text, or NULL. */
static const char *file_parse(const char *text, struct link_address_file *file)
{
	uint64_t fd = 0;

	text = number_parse(text, ':', INT32_MAX, &fd);
	if (text != NULL)
		text = number_parse(text, ':', UINT64_MAX, &file->device);
	if (text != NULL)
		text = number_parse(text, ':', UINT64_MAX, &file->inode);
	file->fd = (int)fd;
	return text;
}

int link_address_parse(const char *text, struct link_address *address)
{
	struct link_address parsed = {0};
	uint64_t version;
	size_t length;

	text = number_parse(text, ':', UINT64_MAX, &version);
	if (text != NULL && version != LINK_VERSION)
		return -EPROTO;
	for (unsigned i = 0; i < LINK_FILES && text != NULL; i++)
		text = file_parse(text, &parsed.file[i]);
	if (text == NULL)
		return -EINVAL;

	length = strcspn(text, ":");
	if (length == 0 || length > LINK_SOCKET_CHARS || text[length] != ':')
		return -EINVAL;
	memcpy(parsed.socket, text, length);
	text += length + 1;

	if (strspn(text, "0123456789abcdef") != LINK_TOKEN_CHARS || text[LINK_TOKEN_CHARS] != '\0')
		return -EINVAL;
	memcpy(parsed.token, text, LINK_TOKEN_CHARS);
	*address = parsed;
	return 0;
}
