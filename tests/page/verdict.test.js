// The page's pure functions in Node: `node --test tests/page/verdict.test.js`, which
// `cargo test --test page` runs, too.
'use strict';

const assert = require('node:assert');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { test } = require('node:test');
const vm = require('node:vm');

// The files as they are: scripts that share one scope, as in the page.
const page = vm.createContext({ document: { addEventListener() {} } });
for (const file of ['verdict.js', 'request.js'])
  vm.runInContext(readFileSync(join(__dirname, '../../src/web/page', file), 'utf8'), page);
const { probabilityHigher, highestRate, verdict } = page;
const [percentile, endpoint] = ['percentile', 'endpoint'].map(name => vm.runInContext(name, page));

const release = (total, failed = 0, late = 0) => ({ total, failed, late });

test('the probability is that of numerical integration', () => {
  for (const [failed, total, stableFailed, stableTotal, probability] of [
    [12, 40, 0, 121, 1],
    [1, 1, 0, 3, 0.93333],
    [2, 2, 0, 6, 0.99167],
    [3, 3, 0, 9, 0.999],
    [1, 60, 0, 180, 0.93724],
    [2, 60, 0, 180, 0.98457],
    [5, 100, 3, 300, 0.99052],
    [5, 100, 15, 300, 0.56119],
    [4, 100, 3, 300, 0.97343],
    [0, 59, 0, 177, 0.7479]
  ]) {
    const found = probabilityHigher(failed, total, stableFailed, stableTotal);
    assert.equal(found.toFixed(5), probability.toFixed(5));
  }
});

test('the probability survives ten minutes at full pace', () => {
  // Both always fail, neither does, one does: there is no difference, or all of it. 12,000 responses.
  assert.ok(Math.abs(probabilityHigher(6000, 6000, 6000, 6000) - 0.5) < 1e-6);
  assert.ok(Math.abs(probabilityHigher(0, 6000, 0, 6000) - 0.5) < 1e-6);
  assert.ok(Math.abs(probabilityHigher(3000, 6000, 3000, 6000) - 0.5) < 1e-6);
  assert.ok(probabilityHigher(6000, 6000, 0, 6000) > 0.999999);
  assert.ok(probabilityHigher(0, 6000, 6000, 6000) < 1e-6);
});

test('the highest rate is the quantile of 95 %', () => {
  for (const [failed, total, rate] of [
    [0, 59, 0.0487],
    [4, 100, 0.0883],
    [0, 0, 0.95],
    [10, 10, 0.9953]
  ])
    assert.equal(highestRate(failed, total).toFixed(4), rate.toFixed(4));
});

test('the verdict has words for every case', () => {
  const stable = release(121);
  for (const [releases, words] of [
    [{}, 'no canary'],
    [{ stable }, 'no canary'],
    [{ stable, canary: release(9, 9) }, 'too early: 9 responses from the canary'],
    [
      { stable: release(177), canary: release(59) },
      'no difference seen: the canary fails at most 4.9 % (95 % sure), is late at most 4.9 %'
    ],
    // Between 50 and 95 % nothing is seen either.
    [
      { stable: release(180), canary: release(60, 1) },
      'no difference seen: the canary fails at most 7.5 % (95 % sure), is late at most 4.8 %'
    ],
    [{ stable: release(180), canary: release(60, 2) }, 'probably worse: 98.5 %'],
    [{ stable: release(180), canary: release(60, 0, 2) }, 'probably slower: 98.5 %'],
    // Of none failed, a canary with a small share is not suspected.
    [
      { stable: release(600), canary: release(10) },
      'no difference seen: the canary fails at most 23.8 % (95 % sure), is late at most 23.8 %'
    ],
    // Two failures are too few to be sure, three are not.
    [{ stable: release(600), canary: release(10, 2) }, 'probably worse: 99.9 %'],
    [
      { stable: release(600), canary: release(10, 3) },
      'worse: 99.9 % sure, 3 of 10 failed, stable 0 of 600'
    ],
    [{ stable, canary: release(40, 12) }, 'worse: 99.9 % sure, 12 of 40 failed, stable 0 of 121'],
    [{ stable, canary: release(40, 0, 12) }, 'slower: 99.9 % sure, 12 of 40 late, stable 0 of 121'],
    // The worse of both comes first.
    [
      { stable, canary: release(40, 12, 2) },
      'worse: 99.9 % sure, 12 of 40 failed, stable 0 of 121; probably slower: 98.5 %'
    ],
    [
      { stable, canary: release(40, 2, 12) },
      'slower: 99.9 % sure, 12 of 40 late, stable 0 of 121; probably worse: 98.5 %'
    ],
    [{ canary: release(40) }, 'cannot compare: no response from stable'],
    [{ v1: release(40), v2: release(40) }, 'cannot compare: v1, v2 (only canary with stable)'],
    [{ stable, preview: release(4) }, 'cannot compare: preview (only canary with stable)'],
    [
      { stable, canary: release(40, 12), v3: release(1) },
      'worse: 99.9 % sure, 12 of 40 failed, stable 0 of 121 (not compared: v3)'
    ]
  ])
    assert.equal(verdict(releases), words);
});

test('a percentile is one of the times', () => {
  const responses = [30, 10, 20, 40].map(ms => ({ ms }));
  assert.equal(percentile(0.5, responses), 20);
  assert.equal(percentile(0.95, responses), 40);
  assert.equal(percentile(0.5, []), undefined);
});

test('the endpoint is beside the page under any prefix', () => {
  for (const [page, url] of [
    ['http://localhost:8080/', 'http://localhost:8080/v1/appinfo'],
    ['http://localhost:8080', 'http://localhost:8080/v1/appinfo'],
    ['https://user:secret@shop.example/appinfo', 'https://shop.example/appinfo/v1/appinfo'],
    ['https://shop.example/appinfo/?a=/b/#c', 'https://shop.example/appinfo/v1/appinfo'],
    [
      'http://[::1]:8001/services/appinfo:http/proxy/',
      'http://[::1]:8001/services/appinfo:http/proxy/v1/appinfo'
    ],
    ['http://shop.example//', 'http://shop.example//v1/appinfo']
  ])
    assert.equal(endpoint(new URL(page)), url);
});

// The same row of chances in every run (mulberry32, https://github.com/bryc/code).
function chances(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Ten minutes of 4 requests a second, a quarter of them to the canary, looked at every second: after
// how many seconds the canary is called worse (or slower), if it is.
function secondsUntil(word, what, canaryRate, stableRate, chance) {
  const [canary, stable] = [release(0), release(0)];
  for (let second = 1; second <= 600; second++) {
    for (let request = 0; request < 4; request++) {
      const isCanary = chance() < 0.25;
      const counts = isCanary ? canary : stable;
      counts.total++;
      if (chance() < (isCanary ? canaryRate : stableRate)) counts[what]++;
    }
    // Shortcuts: the verdict needs more than this, and takes longer.
    if (canary[what] * stable.total <= stable[what] * canary.total) continue;
    const probability = probabilityHigher(canary[what], canary.total, stable[what], stable.total);
    if (probability > 0.99 && verdict({ canary, stable }).startsWith(word)) return second;
  }
  return Infinity;
}

const RUNS = 400;
function simulate(word, what, canaryRate, stableRate) {
  const chance = chances(1);
  const run = () => secondsUntil(word, what, canaryRate, stableRate, chance);
  const seconds = Array.from({ length: RUNS }, run);
  seconds.sort((a, b) => a - b);
  return {
    called: seconds.filter(isFinite).length / RUNS,
    median: seconds[RUNS / 2],
    ninth: seconds[0.9 * RUNS]
  };
}

test('a canary like stable is rarely called worse or slower', t => {
  for (const [word, what, rate] of [
    ['worse', 'failed', 0.005],
    ['worse', 'failed', 0.02],
    ['slower', 'late', 0.1]
  ]) {
    const { called } = simulate(word, what, rate, rate);
    t.diagnostic(`${100 * rate} % ${what}, both: called ${word} in ${100 * called} of 100 runs`);
    assert.ok(called <= 0.02, `${word}, ${rate}: ${called}`);
  }
});

test('a worse canary is called worse soon', t => {
  for (const [canaryRate, stableRate, atMost] of [
    [1, 0, 20],
    [0.25, 0, 30],
    [0.08, 0, 90],
    [0.05, 0, 150],
    [0.05, 0.01, 300],
    [0.04, 0.02, Infinity]
  ]) {
    const { median, ninth, called } = simulate('worse', 'failed', canaryRate, stableRate);
    t.diagnostic(
      `${100 * canaryRate} % beside ${100 * stableRate} %: half of the runs within ${median} s, ` +
        `9 of 10 within ${ninth} s, ${100 * called} of 100 within ten minutes`
    );
    assert.ok(median <= atMost, `${canaryRate}, ${stableRate}: ${median}`);
  }
});
