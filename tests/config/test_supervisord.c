/* supervisord's sections: the meaning and defaults that supervisord gives them. */
#include "tests/config/loading.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config config;
static struct config_errors errors;

static const struct config_service *service(const char *name)
{
	for (size_t i = 0; i < config.service_count; i++)
		if (strcmp(config.services[i].name, name) == 0)
			return &config.services[i];
	fail_msg("no service %s", name);
	return NULL;
}

static void loads(const char *text)
{
	if (config_load_text(text, strlen(text), &config, &errors) != 0)
		fail_msg("line %u: %s", errors.error[0].line, errors.error[0].text);
}

static void words_are(char *const *words, const char *const *wanted)
{
	size_t i = 0;

	for (; wanted[i] != NULL; i++) {
		assert_non_null(words[i]);
		assert_string_equal(words[i], wanted[i]);
	}
	assert_null(words[i]);
}

static const char *variable(const struct config_service *of, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; of->environment[i] != NULL; i++)
		if (strncmp(of->environment[i], name, length) == 0 &&
			of->environment[i][length] == '=')
			return of->environment[i] + length + 1;
	return NULL;
}

static void test_a_program_has_supervisords_defaults(void **state)
{
	const struct config_service *web;

	(void)state;
	loads("[program:web]\ncommand=/bin/cat\n");
	assert_int_equal(config.service_count, 1);
	assert_int_equal(errors.note_count, 0);
	assert_true(config.supervisor.stays);
	web = service("web");
	assert_true(web->is_program);
	assert_true(web->autostart);
	assert_int_equal(web->autorestart, CONFIG_RESTART_UNEXPECTED);
	assert_int_equal(web->backoff, CONFIG_BACKOFF_LINEAR);
	assert_int_equal(web->startsecs_ms, 1000);
	assert_int_equal(web->startretries, 3);
	assert_int_equal(web->priority, 999);
	assert_int_equal(web->stopsignal, SIGTERM);
	assert_int_equal(web->stopwait_ms, 10000);
	assert_false(web->stopasgroup);
	assert_false(web->has_umask);
	assert_false(web->redirect_stderr);
	assert_null(web->user);
	assert_true(config_service_expects(web, 0));
	assert_false(config_service_expects(web, 2));
	for (size_t i = 0; i < CONFIG_STREAMS; i++) {
		assert_int_equal(web->log[i].kind, CONFIG_LOG_AUTO);
		assert_int_equal(web->log[i].max_bytes, 50 << 20);
		assert_int_equal(web->log[i].backups, 10);
		assert_non_null(strstr(web->log[i].path,
			i == 0 ? "/web-stdout---spillway-" : "/web-stderr---spillway-"));
	}
	assert_string_equal(variable(web, "SUPERVISOR_ENABLED"), "1");
	assert_string_equal(variable(web, "SUPERVISOR_PROCESS_NAME"), "web");
	assert_string_equal(variable(web, "SUPERVISOR_GROUP_NAME"), "web");
	/* Of a service of ours nothing has changed. */
	config_free(&config);
	loads("[service:web]\ncommand=/bin/cat\n");
	assert_false(config.supervisor.stays);
	assert_int_equal(service("web")->backoff, CONFIG_BACKOFF_DOUBLING);
	assert_int_equal(service("web")->log[0].kind, CONFIG_LOG_INHERITED);
	assert_int_equal(service("web")->startretries, CONFIG_RETRIES_ENDLESS);
	assert_null(service("web")->environment);
	config_free(&config);
}

static void test_every_key_of_a_program_is_read(void **state)
{
	static const char *const command[] = {"/usr/bin/web", "-x", "a b", NULL};
	const struct config_service *web;

	(void)state;
	loads("[program:web]\n"
	      "command=/usr/bin/web -x \"a b\"   ; a comment\n"
	      "autostart=false\n"
	      "autorestart=true\n"
	      "exitcodes=0, 2,255 # another\n"
	      "startsecs=5\nstartretries=7\npriority=10\n"
	      "stopsignal=QUIT\nstopwaitsecs=3\nstopasgroup=true\nkillasgroup=true\n"
	      "user=www-data\ndirectory=/srv\numask=022\n"
	      "environment=A=\"1, 2\",B=/x:y\n"
	      "redirect_stderr=true\n"
	      "stdout_logfile=/var/log/web.log\nstdout_logfile_maxbytes=1MB\n"
	      "stdout_logfile_backups=2\n"
	      "stderr_logfile=NONE\nstdout_capture_maxbytes=0\nstdout_events_enabled=false\n"
	      "serverurl=AUTO\nmemory_max=40%\n");
	web = service("web");
	words_are(web->argv, command);
	assert_false(web->autostart);
	assert_int_equal(web->autorestart, CONFIG_RESTART_ALWAYS);
	assert_true(config_service_expects(web, 0));
	assert_false(config_service_expects(web, 1));
	assert_true(config_service_expects(web, 2));
	assert_true(config_service_expects(web, 255));
	assert_int_equal(web->startsecs_ms, 5000);
	assert_int_equal(web->startretries, 7);
	assert_int_equal(web->priority, 10);
	assert_int_equal(web->stopsignal, SIGQUIT);
	assert_int_equal(web->stopwait_ms, 3000);
	assert_true(web->stopasgroup);
	assert_string_equal(web->user, "www-data");
	assert_string_equal(web->directory, "/srv");
	assert_true(web->has_umask);
	assert_int_equal(web->umask, 022);
	assert_string_equal(variable(web, "A"), "1, 2");
	assert_string_equal(variable(web, "B"), "/x:y");
	assert_true(web->redirect_stderr);
	assert_int_equal(web->log[CONFIG_STDOUT].kind, CONFIG_LOG_FILE);
	assert_string_equal(web->log[CONFIG_STDOUT].path, "/var/log/web.log");
	assert_int_equal(web->log[CONFIG_STDOUT].max_bytes, 1 << 20);
	assert_int_equal(web->log[CONFIG_STDOUT].backups, 2);
	assert_int_equal(web->log[CONFIG_STDERR].kind, CONFIG_LOG_NONE);
	assert_int_equal(web->memory_max.permille, 400);
	assert_int_equal(errors.note_count, 0);
	config_free(&config);
}

static void test_logs_go_to_our_own_descriptors(void **state)
{
	static const struct {
		const char *path;
		enum config_log_kind kind;
	} rows[] = {{"/dev/stdout", CONFIG_LOG_STDOUT}, {"/dev/fd/1", CONFIG_LOG_STDOUT},
		{"/proc/self/fd/1", CONFIG_LOG_STDOUT}, {"/dev/stderr", CONFIG_LOG_STDERR},
		{"/dev/fd/2", CONFIG_LOG_STDERR}, {"/dev/null", CONFIG_LOG_NONE},
		{"none", CONFIG_LOG_NONE}, {"auto", CONFIG_LOG_AUTO},
		{"/proc/1/fd/1", CONFIG_LOG_FILE}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[256];
		snprintf(text, sizeof text,
			"[program:a]\ncommand=x\nstdout_logfile=%s\nstdout_logfile_maxbytes=0\n",
			rows[i].path);
		loads(text);
		assert_int_equal(service("a")->log[CONFIG_STDOUT].kind, rows[i].kind);
		assert_int_equal(service("a")->log[CONFIG_STDOUT].max_bytes, 0);
		config_free(&config);
	}
}

static void test_numprocs_makes_as_many(void **state)
{
	static const char *const command[] = {"work", "--id=8", "w-08", "of", "3", NULL};

	(void)state;
	loads("[program:w]\ncommand=work --id=%(process_num)d "
	      "%(program_name)s-%(process_num)02d of %(numprocs)s\n"
	      "process_name=%(program_name)s_%(process_num)02d\nnumprocs=3\nnumprocs_start=7\n"
	      "stdout_logfile=/var/log/%(program_name)s.%(process_num)s.log\n"
	      "environment=PORT=\"80%(process_num)02d\"\n");
	assert_int_equal(config.service_count, 3);
	words_are(service("w_08")->argv, command);
	assert_string_equal(service("w_09")->log[CONFIG_STDOUT].path, "/var/log/w.9.log");
	assert_string_equal(variable(service("w_07"), "PORT"), "8007");
	assert_string_equal(variable(service("w_07"), "SUPERVISOR_PROCESS_NAME"), "w_07");
	config_free(&config);
	/* A process name alone would be a poor name for a service. */
	loads("[program:w]\ncommand=x\nprocess_name=%(process_num)02d\nnumprocs=2\n"
	      "[program:v]\ncommand=x\nprocess_name=%(process_num)02d\n");
	service("w.00");
	service("w.01");
	service("v.00");
	config_free(&config);
}

static void test_names_are_expanded(void **state)
{
	static const char *const command[] = {"sh", "-c", "echo 100% 50%s $HOME of-env", NULL};
	char host[256] = "";

	(void)state;
	gethostname(host, sizeof host - 1);
	setenv("SPILLWAY_TEST", "of-env", 1);
	loads("[program:a]\n"
	      "command=sh -c \"echo 100% 50%%s $HOME %(ENV_SPILLWAY_TEST)s\"\n"
	      "environment=G=\"%(group_name)s\",H=%(host_node_name)s\n"
	      "[group:all]\nprograms=a\n");
	words_are(service("a")->argv, command);
	assert_string_equal(variable(service("a"), "G"), "all");
	assert_string_equal(variable(service("a"), "H"), host);
	assert_string_equal(variable(service("a"), "SUPERVISOR_GROUP_NAME"), "all");
	config_free(&config);
	unsetenv("SPILLWAY_TEST");
}

static void test_text_is_read_as_python_reads_it(void **state)
{
	static const char *const command[] = {"sh", "-c", "a \\$b \\d", "|", "x", ";y", NULL};

	(void)state;
	/* Continuations, blank lines and comments in them, any case, any indent, twice the same. */
	loads("[program:a] ; comment\n"
	      "  Command = never\n"
	      "  command = sh -c \"a \\$b \\d\" |\n"
	      "     x\n"
	      "\n"
	      "; between\n"
	      "     # as well\n"
	      "     ';y'\n"
	      "  user = root ;no one\n"
	      "  environment =\n"
	      "\t  A=\"1\",\n"
	      "\t  B=\"C:\\x\",\n"
	      "\t  A=\"2\"\n"
	      "[program:b]\ncommand=x;y\n"
	      "[program:a]\nuser=nobody\n");
	words_are(service("a")->argv, command);
	assert_string_equal(service("a")->user, "nobody");
	assert_string_equal(variable(service("a"), "A"), "2");
	assert_string_equal(variable(service("a"), "B"), "C:\\x");
	assert_string_equal(service("b")->argv[0], "x;y");
	config_free(&config);
}

static void test_priority_is_the_order_of_starting(void **state)
{
	(void)state;
	/* A program without a group is one, with its own priority. */
	loads("[program:a]\ncommand=x\n[program:b]\ncommand=x\npriority=1\n"
	      "[program:c]\ncommand=x\npriority=900\n[program:d]\ncommand=x\npriority=800\n"
	      "[group:g]\nprograms=c,d\npriority=500\n");
	assert_string_equal(config.services[0].name, "b");
	assert_string_equal(config.services[1].name, "d");
	assert_string_equal(config.services[2].name, "c");
	assert_string_equal(config.services[3].name, "a");
	assert_string_equal(config.services[1].group, "g");
	assert_string_equal(config.services[3].group, "a");
	config_free(&config);
	loads("[service:a]\ncommand = x\n[service:b]\ncommand = x\npriority = 1\n");
	assert_string_equal(config.services[0].name, "b");
	assert_string_equal(config.services[0].group, "");
	config_free(&config);
}

static void test_what_has_no_effect_is_noted_with_its_line(void **state)
{
	static const struct {
		unsigned line;
		const char *text;
	} wanted[] = {
		{1, "[unix_http_server] has no effect: spillctl has a socket of its own, control "
		    "in [supervisor]"},
		{4, "nodaemon in [supervisord] has no effect: it stays in the foreground"},
		{5, "pidfile in [supervisord] has no effect: none is written"},
		{6, "bogus in [supervisord] is not known: no effect"},
		{7, "[rpcinterface:supervisor] has no effect: there is no XML-RPC; spillctl speaks "
		    "JSON"},
		{9, "[supervisorctl] has no effect: spillctl has no settings"},
		{13, "stdout_events_enabled has no effect: there are no events of supervisord's"},
		{14, "autorestrt in [program:a] is not known: no effect; did you mean autorestart"},
	};

	(void)state;
	loads("[unix_http_server]\nfile=/run/x.sock\n[supervisord]\nnodaemon=false\n"
	      "pidfile=/run/x.pid\nbogus=1\n"
	      "[rpcinterface:supervisor]\nx.y=z\n[supervisorctl]\nserverurl=unix:///x\n"
	      "[program:a]\ncommand=x\nstdout_events_enabled=true\nautorestrt=true\n"
	      "stderr_capture_maxbytes=0\n");
	assert_int_equal(errors.note_count, sizeof wanted / sizeof wanted[0]);
	for (size_t i = 0; i < errors.note_count; i++) {
		assert_string_equal(errors.note[i].text, wanted[i].text);
		assert_int_equal(errors.note[i].line, wanted[i].line);
	}
	config_free(&config);
}

static void test_the_daemons_settings_are_those_of_its_programs(void **state)
{
	(void)state;
	loads("[supervisord]\nnodaemon=true\nuser=daemon\numask=077\ndirectory=/srv\n"
	      "environment=A=\"1\",B=\"2\"\nchildlogdir=/var/log/x\nidentifier=me\n"
	      "logfile=/dev/null\nlogfile_maxbytes=0\nloglevel=info\n"
	      "[program:a]\ncommand=x\nenvironment=B=\"3\"\n"
	      "[program:b]\ncommand=x\nuser=root\numask=022\ndirectory=/\n");
	assert_int_equal(errors.note_count, 0);
	assert_string_equal(service("a")->user, "daemon");
	assert_string_equal(service("a")->directory, "/srv");
	assert_int_equal(service("a")->umask, 077);
	assert_string_equal(variable(service("a"), "A"), "1");
	assert_string_equal(variable(service("a"), "B"), "3");
	assert_non_null(strstr(service("a")->log[CONFIG_STDERR].path, "/var/log/x/a-stderr---me-"));
	assert_string_equal(service("b")->user, "root");
	assert_string_equal(service("b")->directory, "/");
	assert_int_equal(service("b")->umask, 022);
	/* SIGUSR2 opens log files anew, unless it is asked for. */
	assert_int_equal(config.supervisor.pressure_signal_count, 1);
	assert_int_equal(config.supervisor.pressure_signals[0].number, SIGUSR1);
	config_free(&config);
	loads("[supervisor]\npressure_signals = USR2:full\n[program:a]\ncommand=x\n");
	assert_int_equal(config.supervisor.pressure_signals[0].number, SIGUSR2);
	config_free(&config);
}

static void test_what_cannot_be_is_refused(void **state)
{
#define NAMES \
	"expected program_name, process_num, numprocs, group_name, here, host_node_name, or " \
	"ENV_X for a variable X that is set"
	static const struct loading_row rows[] = {
		{"[program:a]\nuser=x\n",
			{{1, "[program:a] has no command: expected command = PROGRAM ARGUMENTS"}}},
		{"[program:a]\ncommand=x %(ENV_NOT_SET)s\n",
			{{2, "command: %(ENV_NOT_SET)s is not known: " NAMES}}},
		{"[program:a]\ncommand=x %(here)s\n",
			{{2, "command: %(here)s is not known: " NAMES}}},
		{"[program:a]\ncommand=x %(process_num\n",
			{{2, "command: \"x %(process_num\": %( without its ): expected %(NAME)s, "
			     "%(NAME)02d, or %% for one %"}}},
		{"[program:a]\ncommand=x %(process_num)02x\n",
			{{2, "command: \"x %(process_num)02x\": %(NAME) without an s or d behind "
			     "it: expected %(NAME)s, %(NAME)02d, or %% for one %"}}},
		{"[program:a]\ncommand=x\nnumprocs=2\n",
			{{1, "[program:a] has numprocs = 2: expected process_name with "
			     "%(process_num), such as %(program_name)s_%(process_num)02d"}}},
		{"[program:a]\ncommand=x\nnumprocs=many\n",
			{{3, "numprocs: \"many\": not understood: expected a number from 0 to "
			     "4096"}}},
		{"[program:a]\ncommand=x\nstartsecs=soon ; x\n",
			{{3, "startsecs: \"soon\": not understood: expected a duration such as "
			     "250ms, 2s or 1m (a bare number is seconds)"}}},
		{"[program:a]\ncommand=x\nstdout_logfile=syslog\n",
			{{3, "stdout_logfile: \"syslog\": nothing is sent to syslog: write to "
			     "/dev/stdout and let who runs spillway collect it, or use logger(1): "
			     "expected an absolute path, /dev/stdout, /dev/stderr, NONE or "
			     "AUTO"}}},
		{"[program:a]\ncommand=x\nstdout_syslog=true\n",
			{{3, "stdout_syslog: expected false: write to /dev/stdout and let who runs "
			     "spillway collect it"}}},
		{"[program:a]\ncommand=x\nstopasgroup=true\nkillasgroup=false\n",
			{{4, "killasgroup = false with stopasgroup = true: expected both, or "
			     "none"}}},
		{"[program:a b]\ncommand=x\n",
			{{1, "\"a b\" is not a name: expected 1 to 48 of A-Z a-z 0-9 _ . -"}}},
		{"[service:a]\ncommand = x\n[program:a]\ncommand=x\n",
			{{3, "[program:a] makes a service a, which is there already: expected "
			     "another name"}}},
		{"[program:a]\ncommand=x\n[group:g]\nprograms=a,b\n[group:h]\npriority=1\n",
			{{4, "programs: there is no [program:b]: expected names of programs"},
				{5, "[group:h] has no programs: expected programs = NAME,NAME"}}},
		{"[eventlistener:m]\ncommand=memmon\n[fcgi-program:f]\ncommand=f\n",
			{{1, "[eventlistener:m]: supervisord's events are not sent. Remove it: "
			     "what a memory monitor restarts memory_max keeps, and spillctl "
			     "events tells what happens"},
				{3, "[fcgi-program:f]: no socket is made for it. Make it a "
				    "[program:x] that listens itself, as php-fpm and spawn-fcgi -n "
				    "do, or have systemd hand the socket over"}}},
		{"[include]\nfiles=conf.d/*.conf\n[service:a]\ncommand = x\n",
			{{2, "files: conf.d/*.conf: expected an absolute path"}}},
		{"[program:a]\ncommand=x\nexitcodes=256\numask=9\nstartretries=-1\n",
			{{3, "exitcodes: \"256\": out of range: expected a list of numbers from 0 "
			     "to 255 such as 0,2"},
				{4, "umask: \"9\": not understood: expected an octal number from "
				    "000 to 777"},
				{5, "startretries: \"-1\": out of range: expected a number from 0 "
				    "to 1000000, or off"}}},
	};
#undef NAMES

	(void)state;
	loading_all_fail(rows);
}

static char folder[64];

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *stream;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	stream = fopen(path, "we");
	assert_non_null(stream);
	fputs(text, stream);
	assert_int_equal(fclose(stream), 0);
}

static void test_files_are_included(void **state)
{
	static const char *const names[] = {"main.conf", "conf.d/b.conf", "conf.d/a.ini"};
	char path[128];
	char wanted[192];

	(void)state;
	snprintf(folder, sizeof folder, "/tmp/spillway-test.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/conf.d", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file("main.conf", "[supervisord]\nnodaemon=true\n[include]\n"
				"files = conf.d/*.conf %(here)s/conf.d/a.ini none/*.conf\n");
	write_file("conf.d/b.conf", "[program:b]\ncommand=%(here)s/run\n[include]\nfiles=x\n");
	write_file("conf.d/a.ini", "[program:a]\ncommand=x\n");
	snprintf(path, sizeof path, "%s/main.conf", folder);
	assert_int_equal(config_load(path, &config, &errors), 0);
	snprintf(wanted, sizeof wanted, "%s/conf.d/run", folder);
	assert_string_equal(service("b")->argv[0], wanted);
	service("a");
	assert_int_equal(errors.note_count, 1);
	assert_string_equal(errors.note[0].text, "files: none/*.conf: there is none");
	config_free(&config);

	write_file("conf.d/b.conf", "[program:b]\n\nstartsecs=x\n");
	assert_int_equal(config_load(path, &config, &errors), -EINVAL);
	assert_int_equal(errors.count, 2);
	snprintf(wanted, sizeof wanted, "%s/conf.d/b.conf", folder);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(errors.error[i].file, wanted);
		assert_int_equal(errors.error[i].line, i == 0 ? 1 : 3);
	}
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof path, "%s/conf.d", folder);
	rmdir(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_program_has_supervisords_defaults),
		cmocka_unit_test(test_every_key_of_a_program_is_read),
		cmocka_unit_test(test_logs_go_to_our_own_descriptors),
		cmocka_unit_test(test_numprocs_makes_as_many),
		cmocka_unit_test(test_names_are_expanded),
		cmocka_unit_test(test_text_is_read_as_python_reads_it),
		cmocka_unit_test(test_priority_is_the_order_of_starting),
		cmocka_unit_test(test_what_has_no_effect_is_noted_with_its_line),
		cmocka_unit_test(test_the_daemons_settings_are_those_of_its_programs),
		cmocka_unit_test(test_what_cannot_be_is_refused),
		cmocka_unit_test(test_files_are_included),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
