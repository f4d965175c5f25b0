"""Scores of training runs as a Markdown table, mean ± standard deviation over seeds.

usage: scores_table.py FOLDER   (of run_scores.sh: in it, VARIANT/seeds.json of codmoe-train --seeds, and name.txt)
"""
import json
import pathlib
import sys

COLUMNS = {'Smeasure': 'S', 'wFmeasure': 'weighted F', 'meanEm': 'mean E', 'MAE': 'MAE', 'IoU': 'IoU'}


def row(folder):
    scores = json.load(open(folder / 'seeds.json', encoding='utf-8'))
    cells = []
    for key in COLUMNS:
        mean, sd = scores['mean'][key], scores['sd'].get(key)
        cells.append(f'{mean:.4f}' + (f' ± {sd:.4f}' if sd is not None else ''))
    return [(folder / 'name.txt').read_text(encoding='utf-8').strip(), str(len(scores['seeds'])), *cells]


def main():
    folders = sorted(path.parent for path in pathlib.Path(sys.argv[1]).glob('*/seeds.json'))
    if not folders:
        sys.exit(f'{sys.argv[1]}: no VARIANT/seeds.json in it')
    rows = sorted((row(folder) for folder in folders), key=lambda cells: cells[-1], reverse=True)
    head = ['variant', 'seeds', *COLUMNS.values()]
    for cells in [head, ['---'] * len(head), *rows]:
        print('| ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
