#include <cstdlib>
#include <map>
#include <string>
#include <vector>

// A library that allocates while it comes and while it goes, and in every thread that calls it.
namespace
{
struct baggage {
	std::map<std::string, std::vector<int>> things;
	void *raw = std::malloc(70000);

	baggage()
	{
		for (int i = 0; i < 200; i++)
			things["a thing of some length " + std::to_string(i)].resize(std::size_t(i));
	}
	~baggage()
	{
		things["one more while it goes"].resize(1000);
		std::free(raw);
	}
};

baggage of_library;
thread_local baggage of_thread;
} // namespace

extern "C" __attribute__((visibility("default"))) std::size_t plugin_count()
{
	return of_library.things.size() + of_thread.things.size();
}

__attribute__((constructor)) static void begin()
{
	std::free(std::calloc(1000, 77));
}

__attribute__((destructor)) static void end()
{
	void *volatile left = std::malloc(300000);
	std::free(left);
}
