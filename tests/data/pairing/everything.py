import asyncio, collections, dataclasses, datetime, decimal, enum, functools, json
class ParseError(ValueError):
    def __init__(self, text, line): super().__init__(text); self.line = line
def parse(text):
    if text == "bad": raise ParseError("no good", 3)
    if text == "json": return json.loads("{")
    if text == "none": raise FileNotFoundError(2, "No such file", text)
    if text == "exit": raise SystemExit(2)
    return {"a": [1, (2, 3.5)], "b": {1, 2}, "d": datetime.date(2020, 2, 29), "n": decimal.Decimal("1.10"), "nan": float("inf"), "big": 10**50}
@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    def __add__(self, o): return Point(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return Point(self.x * k, self.y * k)
    @classmethod
    def origin(cls): return cls(0, 0)
    @property
    def norm(self): return (self.x**2 + self.y**2) ** .5
class Sub(Point): pass
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
Pair = collections.namedtuple("Pair", "left right")
def pair(): return Pair(1, "x")
def sort(items): items.sort(); return items
def solve(board):
    for row in board:
        for i, v in enumerate(row): row[i] = v * 2
def squares(n):
    for i in range(n): yield i * i
def memo(f):
    cache = {}
    @functools.wraps(f)
    def inner(n):
        if n not in cache: cache[n] = f(n)
        return cache[n]
    return inner
class Stack(list):
    def push(self, v): self.append(v)
class Linked:
    def __init__(self): self.items = []
    def add(self, v): self.items.append(v)
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __contains__(self, v): return v in self.items
    def __getitem__(self, i): return self.items[i]
    def __enter__(self): return self
    def __exit__(self, *a): self.items.clear(); return False
def greet(): print("hello", input("name? "))
async def later(x): await asyncio.sleep(0.01); return x + 1
def read(path): return open(path).read()
def write(path, text): open(path, "w").write(text)
def helper(): return 1
def uses(): return helper() + 1
def count(words): return collections.Counter(words)
def now(): return datetime.datetime.now().year
def apply(f, items): return [f(i) for i in items]
def key_sort(items, key): return sorted(items, key=key)
LIMIT = 7
