#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// Objects of threads: their destructors free, allocate, and make further ones, in every thread.
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			std::_Exit(1); \
		} \
	} while (0)

struct holder {
	std::vector<std::string> names;
	std::unique_ptr<char[]> large;

	~holder()
	{
		std::vector<std::string> more(names);
		for (auto &name : more)
			name += " and something that makes it longer than it was";
		large.reset(new char[300000]);
		large[299999] = 1;
	}
};

thread_local holder first;

struct late {
	std::string text;

	~late()
	{
		// The order is the reverse of construction, so this one goes first and uses the other.
		first.names.push_back(text + " of one that goes");
		void *volatile block = std::malloc(5000);
		std::free(block);
	}
};

thread_local late second;

static void work(unsigned number, std::string *given)
{
	for (unsigned i = 0; i < 50 + number % 50; i++)
		first.names.push_back("a name of some length, no. " + std::to_string(i));
	second.text = "a text of " + std::to_string(number);
	*given = std::string(1000, char('a' + number % 26));
}

static std::size_t used()
{
	malloc_trim(0);
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

int main()
{
	std::size_t before = 0;

	for (unsigned round = 0; round < 60; round++) {
		std::string given[8];
		std::vector<std::thread> threads;

		for (unsigned i = 0; i < 8; i++)
			threads.emplace_back(work, round * 8 + i, &given[i]);
		for (auto &thread : threads)
			thread.join();
		for (unsigned i = 0; i < 8; i++)
			CHECK(given[i] == std::string(1000, char('a' + (round * 8 + i) % 26)));
		if (round == 10)
			before = used();
	}
	CHECK(used() <= before + 200000);
	return 0;
}
