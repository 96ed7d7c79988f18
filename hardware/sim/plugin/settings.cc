#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace sim {
namespace {

[[noreturn]] void Refuse(const char* name, const char* text, const char* expected) {
  std::fprintf(stderr, "error: %s=%s: %s\n", name, text, expected);
  std::exit(2);
}

// A positive number with an optional unit (K, M, G, T: powers of 1024).
double Number(const char* name, const char* standard, bool with_unit, const char* expected) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') text = standard;
  char* end = nullptr;
  double value = std::strtod(text, &end);
  const std::string units = "KMGT";
  if (with_unit && *end != '\0') {
    const size_t power = units.find(*end);
    if (power == std::string::npos) Refuse(name, text, expected);
    for (size_t i = 0; i <= power; ++i) value *= 1024;
    ++end;
  }
  if (end == text || *end != '\0' || !(value > 0) || value > 1e15) Refuse(name, text, expected);
  return value;
}

// How many of the cards a list of their numbers shows: each is there, and stands in it once.
size_t Shown(const char* name, const char* text, size_t cards) {
  std::set<size_t> shown;
  std::stringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    char* end = nullptr;
    const unsigned long number = std::strtoul(word.c_str(), &end, 10);
    if (word.empty() || *end != '\0' || number >= cards || !shown.insert(number).second) {
      Refuse(name, text, "expected numbers of cards, each once, as 4,5");
    }
  }
  return shown.size();
}

Settings Read() {
  Settings settings;
  const char* cards = "expected a whole number from 1 to 1024";
  const double number = Number("SIM_CARDS", "8", false, cards);
  if (number > 1024 || number != static_cast<size_t>(number)) Refuse("SIM_CARDS", std::getenv("SIM_CARDS"), cards);
  settings.cards = static_cast<size_t>(number);
  const char* visible = std::getenv("SIM_RUNTIME_VISIBLE_DEVICES");
  if (visible != nullptr && *visible != '\0') {
    settings.cards = Shown("SIM_RUNTIME_VISIBLE_DEVICES", visible, settings.cards);
  }
  settings.memory = static_cast<size_t>(Number("SIM_MEMORY", "16G", true, "expected bytes, as 2G or 512M"));
  settings.timeout = Number("SIM_TIMEOUT", "300", false, "expected seconds");
  const char* missing = std::getenv("SIM_MISSING_KERNELS");
  std::stringstream words(missing == nullptr ? "" : missing);
  for (std::string word; std::getline(words, word, ',');) {
    if (!word.empty()) settings.missing.insert(word);
  }
  const char* lacks = std::getenv("SIM_LACKS");
  const std::string type = lacks == nullptr ? "" : lacks;
  if (!type.empty() && type != "float64") Refuse("SIM_LACKS", lacks, "expected float64");
  settings.lacks_float64 = type == "float64";
  return settings;
}

}  // namespace

const Settings& GetSettings() {
  static const Settings settings = Read();
  return settings;
}

}  // namespace sim
