#ifndef SHIM_ALIAS_H
#define SHIM_ALIAS_H

/* ALIAS(other, name): exports the function `name` of the same file as `other`, too. */
#ifdef __has_attribute
#if __has_attribute(copy)
#define ALIAS_COPY(name) __attribute__((copy(name)))
#endif
#endif
#ifndef ALIAS_COPY
#define ALIAS_COPY(name)
#endif

#define ALIAS(other, name) \
	extern __typeof(name) other ALIAS_COPY(name) \
		__attribute__((alias(#name), visibility("default")))

#endif
