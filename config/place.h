#ifndef CONFIG_PLACE_H
#define CONFIG_PLACE_H

/*
 * Where something stands, in one number: which of the files that were read, and the line there.
 * The first file is 0, so a place in it is its line.  0 = it concerns the file as a whole.
 */

#define PLACE_LINE_BITS 21 /* a text has at most so many lines: text_file.h */
#define PLACE_FILES_MAX 1024

static inline unsigned place_of(unsigned file, unsigned line)
{
	return (file << PLACE_LINE_BITS) | line;
}

static inline unsigned place_line(unsigned place)
{
	return place & ((1U << PLACE_LINE_BITS) - 1);
}

static inline unsigned place_file(unsigned place)
{
	return place >> PLACE_LINE_BITS;
}

#endif
