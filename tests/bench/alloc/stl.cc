// Containers of the C++ library filled, searched, sorted and torn down.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

static std::uint64_t seed = 1;

static std::uint64_t next()
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static std::string name(std::uint64_t number)
{
	return "a name of some length " + std::to_string(number);
}

int main()
{
	std::map<std::string, std::vector<int>> sorted;
	std::unordered_map<std::uint64_t, std::string> hashed;
	std::list<std::string> queue;
	std::uint64_t sum = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 120000; i++) {
			sorted[name(next() % 40000)].push_back(i);
			hashed[next() % 100000] = name(i);
			queue.push_back(name(next()));
			if (i % 2 == 1)
				queue.pop_front();
		}
		std::vector<std::string> names(queue.begin(), queue.end());
		std::sort(names.begin(), names.end());
		sum += names[names.size() / 2].size();
		for (auto it = sorted.begin(); it != sorted.end();)
			it = next() % 3 == 0 ? sorted.erase(it) : std::next(it);
		for (int i = 0; i < 50000; i++)
			hashed.erase(next() % 100000);
	}
	for (const auto &entry : hashed)
		sum += entry.second.size();
	std::printf("%llu\n", static_cast<unsigned long long>(sum + sorted.size() + queue.size()));
	return 0;
}
