import asyncio, contextlib, io, json, math, os, tempfile, threading, unittest
from unittest import mock
import everything
from everything import *
class Everything(unittest.TestCase):
    def test_plain(self):
        got = parse("x")
        self.assertEqual(got["a"], [1, (2, 3.5)]); self.assertEqual(got["b"], {1, 2}); self.assertEqual(got["big"], 10**50)
        self.assertEqual(str(got["n"]), "1.10"); self.assertEqual(got["d"].day, 29); self.assertTrue(math.isinf(got["nan"]))
    def test_errors(self):
        with self.assertRaises(ParseError) as c: parse("bad")
        self.assertEqual(c.exception.line, 3); self.assertEqual(str(c.exception), "no good")
        with self.assertRaisesRegex(ValueError, "good"): parse("bad")
        with self.assertRaises(json.JSONDecodeError): parse("json")
        with self.assertRaises(FileNotFoundError) as c: parse("none")
        self.assertEqual(c.exception.errno, 2)
        with self.assertRaises(SystemExit) as c: parse("exit")
        self.assertEqual(c.exception.code, 2)
    def test_classes(self):
        p = Point(1, 2)
        self.assertIsInstance(p, Point); self.assertEqual(p, Point(1, 2)); self.assertNotEqual(p, Point(1, 3))
        self.assertEqual(p + Point(1, 1), Point(2, 3)); self.assertEqual(p * 2, Point(2, 4)); self.assertEqual((p * 2).x, 2)
        p.x = 9; self.assertEqual(p.x, 9); self.assertEqual(Point.origin().norm, 0.0); self.assertEqual(repr(p), "Point(x=9, y=2)")
        self.assertIsInstance(Sub(1), Point); self.assertEqual(f"{p}", "Point(x=9, y=2)"); self.assertFalse(p == 5)
        with self.assertRaises(TypeError): Point()
        with self.assertRaises(AttributeError): p.z
        with self.assertRaises(TypeError): hash(p)
    def test_enums(self):
        self.assertIs(Color.RED, Color(1)); self.assertEqual(Color.RED.name, "RED"); self.assertEqual(Color["BLUE"], Color.BLUE)
        self.assertEqual([c.value for c in Color], [1, 2]); self.assertEqual(len(Color), 2); self.assertEqual(Level.HIGH, 2); self.assertEqual({Color.RED: 1}[Color.RED], 1)
        self.assertGreater(Level.HIGH, Level.LOW)
    def test_tuples(self):
        self.assertEqual(pair(), (1, "x")); self.assertEqual(pair().left, 1); a, b = pair(); self.assertEqual(b, "x")
    def test_in_place(self):
        l = [3, 1, 2]; self.assertIs(sort(l), l); self.assertEqual(l, [1, 2, 3])
        b = [[1, 2], [3]]; row = b[0]; solve(b); self.assertEqual(b, [[2, 4], [6]]); self.assertIs(b[0], row)
    def test_lazy(self):
        self.assertEqual(list(squares(4)), [0, 1, 4, 9]); g = squares(2); next(g); next(g)
        with self.assertRaises(StopIteration): next(g)
    def test_callbacks(self):
        calls = []
        @memo
        def f(n): calls.append(n); return n * 2
        self.assertEqual([f(2), f(2)], [4, 4]); self.assertEqual(calls, [2]); self.assertEqual(f.__name__, "f")
        self.assertEqual(apply(lambda v: v + 1, [1, 2]), [2, 3]); self.assertEqual(apply(len, ["ab"]), [2]); self.assertEqual(key_sort(["bb", "a"], len), ["a", "bb"])
        def boom(v): raise KeyError("mine")
        with self.assertRaises(KeyError): apply(boom, [1])
        class Mine(Exception): pass
        def own(v): raise Mine("x")
        with self.assertRaises(Mine): apply(own, [1])
        self.assertEqual(apply(str, (i for i in range(2))), ["0", "1"])
        m = mock.Mock(return_value=4); self.assertEqual(apply(m, [1]), [4]); m.assert_called_once_with(1)
    def test_containers(self):
        s = Stack(); s.push(1); self.assertEqual(s, [1]); self.assertEqual(len(s), 1); self.assertEqual(s[0], 1)
        l = Linked(); l.add(5); self.assertEqual(len(l), 1); self.assertIn(5, l); self.assertNotIn(6, l); self.assertEqual(list(l), [5]); self.assertEqual(l[0], 5)
        with l as q: pass
        self.assertEqual(len(l), 0)
        self.assertEqual(count("aab"), {"a": 2, "b": 1})
    def test_screen(self):
        out = io.StringIO()
        with mock.patch("builtins.input", return_value="Ann"), contextlib.redirect_stdout(out): greet()
        self.assertEqual(out.getvalue(), "hello Ann\n")
        with mock.patch("sys.stdin", io.StringIO("Bob\n")), contextlib.redirect_stdout(out): greet()
    def test_async(self):
        self.assertEqual(asyncio.run(later(1)), 2)
    def test_files(self):
        with tempfile.TemporaryDirectory() as d:
            p = os.path.join(d, "x"); write(p, "hi"); self.assertEqual(open(p).read(), "hi"); self.assertEqual(read(p), "hi")
    def test_patch(self):
        with mock.patch("everything.helper", return_value=10): self.assertEqual(uses(), 11)
        self.assertEqual(uses(), 2)
        with mock.patch.object(everything, "helper", lambda: 5): self.assertEqual(everything.uses(), 6)
        self.assertEqual(everything.LIMIT, 7)
    def test_threads(self):
        got = []; ts = [threading.Thread(target=lambda: got.append(uses())) for _ in range(4)]
        [t.start() for t in ts]; [t.join() for t in ts]; self.assertEqual(got, [2] * 4)
