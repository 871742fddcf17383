// Standard C++: streams, containers, algorithms.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

int main()
{
	{
		std::ofstream out("/words.txt");
		out << "the quick brown fox jumps over the lazy dog the end\n";
	}
	std::ifstream in("/words.txt");
	std::map<std::string, int> count;
	for (std::string word; in >> word;)
		count[word]++;
	std::vector<std::pair<int, std::string>> order;
	for (auto &[word, n] : count)
		order.emplace_back(n, word);
	std::sort(order.rbegin(), order.rend());
	std::cout << order.size() << " words, " << order[0].second << " " << order[0].first << " times" << std::endl;
	std::ifstream missing("/missing");
	std::cout << (missing ? "found" : "not found") << std::endl;
	return 0;
}
