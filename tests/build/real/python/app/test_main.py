import unittest

from main import page


class PageTest(unittest.TestCase):
    def test_greets_by_name(self):
        self.assertEqual(page("/you"), "Hello, you!\n")


if __name__ == "__main__":
    unittest.main()
