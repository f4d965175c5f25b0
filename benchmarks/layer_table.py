"""Joins the peer's printed rows and codmoe-bench's JSON into one Markdown table.

usage: layer_table.py --peer peer.txt [--queued peer_queued.txt] --codmoe layer.json
A cell is latency in ms, median, from a call on an idle GPU to its completion; in brackets the GPU's own time, where the
call could be queued whole behind a delay kernel.
"""
import argparse
import json
import re

DTYPES = {'fp32': 'float32', 'tf32-cl': 'tf32', 'bf16-cl': 'bfloat16'}
PASSES = {'infer': 'forward', 'fwd+bwd': 'train'}
ROW = re.compile(r'(\S+)\s+(\S+)\s+(infer|fwd\+bwd)\s+(.*)')


def read_peer(path, batches):
    """{(dtype, pass, dispatch): {batch: ms}} of one printout; None where not measured, and in all of a row with a failure."""
    rows = {}
    for line in open(path, encoding='utf-8'):
        match = ROW.match(line)
        if not match or match[1] not in DTYPES:
            continue
        words = match[4].split()
        if len(words) != len(batches):  # the text of an error stands among the numbers
            words = ['None'] * len(batches)
        numbers = [None if word == 'None' else float(word) for word in words]
        rows[DTYPES[match[1]], PASSES[match[3]], match[2]] = dict(zip(batches, numbers))
    return rows


def read_codmoe(path):
    latency, gpu = {}, {}
    for case in json.load(open(path, encoding='utf-8')):
        way = case['dispatch'] + ('+graph' if case.get('launch') == 'graph' else '')
        way += ', cold' if case.get('inputs') == 'cold' else ''
        key = case['dtype'], case['pass'], way
        latency.setdefault(key, {})[case['batch']] = case['median_ms']
        if case['gpu_queued']:
            gpu.setdefault(key, {})[case['batch']] = case['gpu_ms']
    return latency, gpu


def cell(latency, gpu):
    if latency is None:
        return '–'
    return f'{latency:.3f}' + (f' ({gpu:.3f})' if gpu is not None else '')


def print_rows(who, latency, gpu, wanted, batches):
    for (dtype, what, dispatch), row in latency.items():
        if what == wanted:
            queued = gpu.get((dtype, what, dispatch), {})
            cells = ' | '.join(cell(row.get(batch), queued.get(batch)) for batch in batches)
            print(f'| {who} | {dtype} | {dispatch} | {cells} |')


def print_ratios(peer, codmoe, batches):
    largest = batches[-1]
    for (dtype, what, dispatch), row in codmoe.items():
        base = peer.get((dtype, what, 'sequential'), {}).get(largest)
        # The peer's inputs are warm.
        if base and row.get(largest) and dispatch != 'sequential' and not dispatch.endswith(', cold'):
            print(f'codmoe {dispatch}, {dtype} {what}, batch {largest}: {base / row[largest]:.1f}x the peer\'s sequential')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--peer', required=True)
    parser.add_argument('--queued')
    parser.add_argument('--codmoe', required=True)
    args = parser.parse_args()
    cases = json.load(open(args.codmoe, encoding='utf-8'))
    batches = sorted({case['batch'] for case in cases})
    latency, gpu = read_codmoe(args.codmoe)
    peer = read_peer(args.peer, batches)
    queued = {key: row for key, row in (read_peer(args.queued, batches) if args.queued else {}).items()
              if key[2].startswith('dense')}
    first = cases[0]
    print(f"{first['device']}; {first['channels']} channels, {first['height']}x{first['width']}, top-{first['top_k']}; "
          f"{first['route_sets']} sets of routes, seed {first['seed']}")
    for what in ('forward', 'train'):
        print(f'\n| {what} | dtype | dispatch | ' + ' | '.join(f'B={batch}' for batch in batches) + ' |')
        print('|---' * (3 + len(batches)) + '|')
        print_rows('Python peer', peer, queued, what, batches)
        print_rows('codmoe', latency, gpu, what, batches)
    print()
    print_ratios(peer, latency, batches)


if __name__ == '__main__':
    main()
