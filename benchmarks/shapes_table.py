"""Latency of `batched` over that of `fused`, a row a shape: above 1, fused is faster.

usage: shapes_table.py FILE.json ...  (of codmoe-bench layer, with both dispatches)
Ends with exit code 1 where fused is slower.
"""
import json
import sys


def main():
    rows = {}
    for path in sys.argv[1:]:
        for case in json.load(open(path, encoding='utf-8')):
            way = case['dispatch'] + ('+graph' if case.get('launch') == 'graph' else '')
            shape = case['channels'], case['height'], case['width'], case['dtype']
            rows.setdefault(shape, {}).setdefault((case['pass'], case['batch']), {})[way] = case['median_ms']
    columns = sorted({column for row in rows.values() for column in row})
    print('| shape | ' + ' | '.join(f'{what} B={batch}' for what, batch in columns) + ' |')
    print('|---' * (len(columns) + 1) + '|')
    slower = False
    for (channels, height, width, dtype), row in sorted(rows.items()):
        cells = []
        for column in columns:
            times = row.get(column, {})
            ratios = [times['batched'] / times[way] for way in ('fused', 'fused+graph') if way in times]
            slower = slower or not ratios or min(ratios) < 1
            cells.append(' / '.join(f'{ratio:.1f}' for ratio in ratios) or '–')
        print(f'| {channels} x {height}x{width} {dtype} | ' + ' | '.join(cells) + ' |')
    sys.exit(1 if slower else 0)


if __name__ == '__main__':
    main()
