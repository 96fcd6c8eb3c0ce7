// Is the canary worse than stable, and how sure can one be? Pure functions, tested in Node.

// The time that this part of the responses took at most.
const percentile = (part, responses) =>
  responses.map(({ ms }) => ms).sort((a, b) => a - b)[Math.ceil(part * responses.length) - 1];

// Adds terms that are given by the logarithm of the first and the ratio of each to the one before:
// the first may be too small a number.
function sumTerms(last, logarithm, ratio) {
  let sum = 0;
  for (let i = 0; i <= last; i++) {
    sum += Math.exp(logarithm);
    logarithm += Math.log(ratio(i));
  }
  return sum;
}

// The probability that the canary's true rate is the higher one, given how many of all its responses
// failed (or were late), how many of stable's, and uniform priors: P(X > Y), where the rates X and Y
// have the distributions Beta(canaryFailed + 1, d) and Beta(a, b). A closed sum, from
// https://www.evanmiller.org/bayesian-ab-testing.html#binary_ab
function probabilityHigher(failed, total, stableFailed, stableTotal) {
  const a = stableFailed + 1,
    b = stableTotal - stableFailed + 1,
    d = total - failed + 1;
  let first = 0;
  for (let i = 0; i < a; i++) first += Math.log((b + i) / (b + d + i));
  return sumTerms(failed, first, i => ((a + i) * (d + i)) / ((a + b + d + i) * (i + 1)));
}

// What the true rate does not exceed, 95 % sure: a quantile of Beta(failed + 1, total - failed + 1),
// by bisection. (P(rate > x) is the binomial P(at most `failed` of total + 1) at the rate x.)
function highestRate(failed, total) {
  let rate = 0;
  for (let step = 0.5; step > 1e-9; step /= 2) {
    const odds = (rate + step) / (1 - rate - step);
    const ratio = i => ((total + 1 - i) / (i + 1)) * odds;
    if (sumTerms(failed, -(total + 1) * Math.log(1 + odds), ratio) > 0.05) rate += step;
  }
  return rate;
}

// Looking again and again until a probability is high enough finds a difference sooner or later, even
// where there is none: at 99 %, a canary as good as stable is called worse in 4 to 14 of 100 runs of
// ten minutes. At 99.9 % it is 2 at most (simulated in tests/page/verdict.test.js).
const SURE = 0.999,
  PROBABLE = 0.95,
  MIN_RESPONSES = 10,
  MIN_FAILURES = 3;

// A headline and, after a colon, its reason. Takes what was counted of each release, such as
// { canary: { total: 40, failed: 12, late: 0 }, stable: ... }.
function verdict({ canary, stable, ...others }) {
  const names = Object.keys(others).join(', ');
  if (names && !(canary && stable)) return `cannot compare: ${names} (only canary with stable)`;
  if (!canary) return 'no canary';
  if (!stable) return 'cannot compare: no response from stable';
  const { total } = canary;
  if (total < MIN_RESPONSES) return `too early: ${total} responses from the canary`;
  const percent = rate => (100 * rate).toFixed(1) + ' %';
  const found = ['failed', 'late']
    // Of a few responses, none of them failed, next to nothing is known: that is no suspicion.
    .filter(what => canary[what])
    .map(what => {
      const count = canary[what],
        stableCount = stable[what],
        probability = probabilityHigher(count, total, stableCount, stable.total),
        text = `${what === 'late' ? 'slower' : 'worse'}: ${percent(Math.min(probability, SURE))}`,
        counts = `${count} of ${total} ${what}, stable ${stableCount} of ${stable.total}`,
        isSure = probability >= SURE && count >= MIN_FAILURES;
      return { probability, text: isSure ? `${text} sure, ${counts}` : `probably ${text}` };
    })
    .filter(({ probability }) => probability >= PROBABLE)
    .sort((a, b) => b.probability - a.probability)
    .map(({ text }) => text);
  const atMost = what => percent(highestRate(canary[what], total));
  return (
    (found.join('; ') ||
      `no difference seen: the canary fails at most ${atMost('failed')} (95 % sure), is late at most ${atMost('late')}`) +
    (names && ` (not compared: ${names})`)
  );
}
