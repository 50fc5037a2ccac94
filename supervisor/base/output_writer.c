/* The thread that puts into files what services have written. */
#include "supervisor/base/output_private.h"

#include <stdlib.h>
#include <string.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"

static void free_locked(struct output *output)
{
	struct output **link = &outputs.first_output;
	while (*link != output)
		link = &(*link)->next;
	*link = output->next;
	rotating_file_fini(&output->file);
	free(output->wanted.path);
	free(output->name);
	free(output);
}

/* Settings that wait to come into force, or the end of an output. */
static struct output *changed_locked(void)
{
	for (struct output *output = outputs.first_output; output != NULL; output = output->next)
		if (output->wanted.path != NULL || output->is_to_reopen ||
			(output->is_over && output->pieces == 0))
			return output;
	return NULL;
}

/* Says when a loss begins and when it is over. */
static void tell(struct output *output, int error, uint64_t lost_bytes)
{
	if (error != 0 && !output->is_failing)
		log_warn("%s: %s: %s: what is written is lost", output->name, output->file.path,
			strerror(-error));
	else if (error == 0 && lost_bytes > 0)
		log_warn("%s: %s: written again, %llu bytes were lost", output->name,
			output->file.path, (unsigned long long)lost_bytes);
	output->is_failing = error != 0;
}

/* Says once that the file cannot be rotated, and once that it was. */
static void tell_rotation(struct output *output)
{
	const struct rotating_file *file = &output->file;
	bool is_stuck = file->stuck_error != 0;
	if (is_stuck && !output->is_stuck)
		log_warn("%s: %s: cannot be rotated at %llu bytes: %s: it grows on", output->name,
			file->path, (unsigned long long)file->max_bytes,
			strerror(-file->stuck_error));
	else if (!is_stuck && output->is_stuck)
		log_warn("%s: %s: rotated again", output->name, file->path);
	output->is_stuck = is_stuck;
}

/* The lock is let go for as long as the file is worked on. */
static void change_locked(struct output *output)
{
	struct rotating_file before = output->file;
	bool is_another = output->wanted.path != NULL;
	uint64_t lost_bytes = output->lost_bytes;
	int error;
	if (output->is_over && output->pieces == 0) {
		pthread_mutex_unlock(&outputs.lock);
		if (lost_bytes > 0)
			log_warn("%s: %s: %llu bytes were lost", output->name, output->file.path,
				(unsigned long long)lost_bytes);
		pthread_mutex_lock(&outputs.lock);
		free_locked(output);
		return;
	}
	if (is_another) {
		output->file = output->wanted;
		output->is_stuck = false;
		output->wanted.path = NULL;
	}
	output->is_to_reopen = false;
	outputs.writing_since_ms = clock_now_ms();
	pthread_mutex_unlock(&outputs.lock);
	if (is_another)
		rotating_file_fini(&before);
	else
		rotating_file_close(&output->file);
	error = rotating_file_open(&output->file);
	tell(output, error, 0);
	pthread_mutex_lock(&outputs.lock);
	outputs.writing_since_ms = 0;
}

static struct piece *take_piece_locked(void)
{
	struct piece *piece = outputs.first;
	if (piece == NULL)
		return NULL;
	outputs.first = piece->next;
	if (outputs.first == NULL)
		outputs.last = &outputs.first;
	return piece;
}

static void write_piece_locked(struct piece *piece)
{
	struct output *output = piece->output;
	uint64_t lost_bytes = output->lost_bytes;
	size_t written = 0;
	outputs.writing_since_ms = clock_now_ms();
	pthread_mutex_unlock(&outputs.lock);
	int error = rotating_file_write(&output->file, piece->bytes, piece->length, &written);
	tell(output, error, lost_bytes);
	tell_rotation(output);
	pthread_mutex_lock(&outputs.lock);
	outputs.writing_since_ms = 0;
	outputs.pieces_written++;
	outputs.waiting_bytes -= piece->length;
	output->pieces--;
	if (error == 0)
		output->lost_bytes -= lost_bytes;
	output->lost_bytes += piece->length - written;
	free(piece);
}

void *output_writer_run(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&outputs.lock);
	for (;;) {
		struct output *changed = changed_locked();
		struct piece *piece = changed == NULL ? take_piece_locked() : NULL;
		if (changed != NULL)
			change_locked(changed);
		else if (piece != NULL)
			write_piece_locked(piece);
		else if (outputs.reader_is_done)
			break;
		else
			pthread_cond_wait(&outputs.work, &outputs.lock);
		pthread_cond_broadcast(&outputs.room);
	}
	outputs.writer_is_done = true;
	pthread_cond_broadcast(&outputs.room);
	pthread_mutex_unlock(&outputs.lock);
	return NULL;
}
