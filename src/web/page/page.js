// Asks again and again, and draws what responds.

// Milliseconds.
const MINUTE = 60e3,
  COMPARED = 600e3,
  BAR = 3e3,
  NEW = 20e3,
  TIMEOUT = 5e3,
  LATE = 100;
const SQUARES = 240,
  BARS = 40,
  PENDING = 4;
const KINDS = ['stable', 'canary', 'other'];

const $ = id => document.getElementById(id),
  find = selector => [...document.querySelectorAll(selector)],
  create = (tag, properties) => Object.assign(document.createElement(tag), properties),
  percent = (part, all) => (all ? Math.round((100 * part) / all) + '%' : '–');
// Puts texts into the elements of these IDs.
function show(texts) {
  for (const id in texts) $(id).textContent = texts[id];
}

// What is wrong, if anything. A missing feature or an exception in this script is no fault of the
// server's.
let problem;
function fail(error) {
  show({ state: (problem = `This page fails in this browser: ${error}`) });
}
onerror = fail;

// The clock stands still while the page is paused or hidden: nothing ages unwatched.
let paused,
  resumedAt,
  elapsed = 0;
const now = () => elapsed + (resumedAt ? performance.now() - resumedAt : 0);
function updateClock() {
  elapsed = now();
  resumedAt = !paused && !document.hidden && performance.now();
  poll();
  draw();
}

// A few requests at once at most; without a response, one at a time and ever less often.
let timer,
  pending = 0,
  failures = 0;
function poll() {
  clearTimeout(timer);
  if (!resumedAt) return;
  if (pending < (failures ? 1 : PENDING)) ask().catch(fail);
  timer = setTimeout(poll, failures ? Math.min(4e3, 250 * 2 ** failures) : 1e3 / $('rate').value);
}

// What came of the requests of the last ten minutes, and the squares that the grid does not show yet.
const results = [],
  waiting = [];
let median,
  comparedSince = 0;
async function ask() {
  const start = performance.now();
  pending++;
  const { response, body, lost, fault } = await send(endpoint(location), TIMEOUT);
  pending--;
  problem = fault
    ? `The page could not send the request: ${fault}`
    : lost && 'Cannot reach the server';
  failures = lost ? failures + 1 : 0;
  if (fault) return;
  // A pod that fails tells its name and release by headers alone.
  const header = name => response?.headers.get('Appinfo-' + name),
    result = { PodName: header('Pod'), Release: header('Release'), ...body, at: now() },
    { PodName, Release, error } = result,
    ms = Math.round(performance.now() - start),
    kind = lost ? 'lost' : KINDS.includes(Release) ? Release : 'other',
    failed = !lost && !(response.ok && body),
    late = !lost && ms > median + LATE,
    look = kind + (failed ? ' failed' : '') + (late ? ' late' : ''),
    origin = `${PodName || 'unknown pod'}, ${Release || 'no release'}, ${response?.status}`,
    text = `${lost || origin}, ${ms} ms${late ? ' late' : ''}${error ? ': ' + error : ''}`;
  // The comparison starts over with a canary pod that is new and comes after none was there.
  const isKnown = results.some(other => other.kind === kind && other.PodName === PodName);
  if (kind === 'canary' && !isKnown && !find('tr.canary:not(.quiet)')[0]) comparedSince = result.at;
  results.push(Object.assign(result, { ms, kind, failed, late }));
  if (waiting.push({ look, text }) > SQUARES) waiting.shift();
  drawGrid();
  if (!lost) drawBars(look);
  if (!resumedAt) draw();
}

// The grid holds still while somebody looks at one of its squares.
const grid = $('grid');
function drawGrid() {
  const seen = grid.querySelector(':hover, :focus');
  for (const { look, text } of seen ? [] : waiting.splice(0)) {
    const square = create('i', { title: text, className: look, tabIndex: -1 });
    square.setAttribute('role', 'img');
    grid.prepend(square);
  }
  while (grid.children[SQUARES]) grid.lastChild.remove();
  show({
    detail: seen ? `${seen.title} (${waiting.length} newer)` : 'Point at a square or use arrow keys'
  });
}
grid.onpointerover = drawGrid;
grid.onkeydown = ({ key, target }) => {
  const next = { ArrowRight: 'nextSibling', ArrowLeft: 'previousSibling' }[key];
  if (next) (target === grid ? grid.firstChild : target[next])?.focus();
  drawGrid();
};

let bar;
let nextBar = 1 - BARS;
function drawBars(look) {
  for (; nextBar <= now() / BAR; nextBar++) {
    $('bars').append((bar = create('span')));
    if (nextBar > 0) $('bars').firstChild.remove();
  }
  if (!look) return;
  bar[look] ??= bar.appendChild(create('i', { className: look }));
  bar[look].style.flexGrow++;
}

// A row for each pod, by release and name, unless it is gone: silent for a minute, or for seconds
// while the others had many responses each.
function drawPods(responses) {
  const known = responses.filter(({ PodName, failed }) => PodName || !failed),
    place = ({ last }) => KINDS.indexOf(last.kind) + last.PodName;
  const pods = [...new Set(known.map(({ PodName }) => PodName))]
    .map(name => {
      const own = known.filter(({ PodName }) => PodName === name),
        last = own[own.length - 1],
        missed = (responses.length - responses.indexOf(last)) / $('pods').rows.length;
      return { own, last, silence: Math.min((now() - last.at) / 6e3, missed / 8) };
    })
    .filter(({ silence }) => silence < 2)
    .sort((a, b) => (place(a) < place(b) ? -1 : 1));
  $('pods').replaceChildren(...pods.map(createRow));
}

const titles = find('th').map(({ textContent }) => textContent);
function createRow({ own, last, silence }) {
  const succeeded = own.filter(({ failed }) => !failed),
    errors = own.length - succeeded.length,
    success = succeeded.pop(),
    ms = percentile(0.95, own),
    age = Math.round((now() - last.at) / 1e3),
    wrong = { 4: errors, 5: ms > median + LATE },
    row = create('tr', { className: last.kind + (silence > 1 ? ' quiet' : '') });
  [
    last.PodName || 'no name',
    last.Release || 'none',
    success ? success.Namespace || createTag('"" empty', 'wrong') : '',
    own.length,
    errors && `${errors} (${percent(errors, own.length)})`,
    ms + ' ms',
    age < 2 ? 'now' : age + ' s ago',
    success ? createLabels(success) : ''
  ].forEach((content, i) => {
    const className = wrong[i] ? 'wrong' : '',
      cell = create(i ? 'td' : 'th', { title: titles[i], className });
    cell.append(...[content].flat());
    row.append(cell);
  });
  return row;
}

const createTag = (textContent, look) => create('span', { textContent, className: 'tag ' + look });

// The labels of each pod that came after its first response are new, and so for a while.
const labeledAt = new Map();
function createLabels({ PodName, Labels }) {
  const labels = Object.entries(Labels ?? {}).map(pair => pair.join('=')),
    before = labeledAt.get(PodName),
    fresh = labels.filter(label => before && !(label in before)),
    times = labels.map(label => [label, before ? (before[label] ?? now()) : -NEW]);
  if (fresh[0]) show({ announcement: `New on ${PodName}: ${fresh}` });
  labeledAt.set(PodName, Object.fromEntries(times));
  return times.map(([label, at]) => createTag(label, now() - at < NEW ? 'new' : ''));
}

function drawVerdict(canary) {
  const counts = Object.create(null);
  for (const { at, Release, failed, late } of results) {
    if (!Release || at < comparedSince) continue;
    const count = (counts[Release] ??= { total: 0, failed: 0, late: 0 });
    count.total++;
    count.failed += failed;
    count.late += late;
  }
  if (!canary) delete counts.canary;
  const words = verdict(counts);
  const [headline] = words.split(': ', 1);
  // A screen reader is told of another headline, not of each other count.
  const before = $('verdict').textContent;
  if (before && before !== headline) show({ announcement: `Verdict: ${words}` });
  show({ verdict: headline, reason: words.slice(headline.length + 2) });
}

// Draws what changes with the time, once a second.
function draw() {
  drawGrid();
  drawBars();
  while (results[0]?.at < now() - COMPARED) results.shift();
  const recent = results.filter(({ at }) => at > now() - MINUTE),
    responses = recent.filter(({ kind }) => kind !== 'lost'),
    [stable, canary] = KINDS.map(kind => responses.filter(response => response.kind === kind)),
    errors = responses.filter(({ failed }) => failed),
    sources = new Set(errors.map(({ Release }) => Release || 'no release')),
    all = responses.length,
    lost = recent.length - all;
  median = percentile(0.5, stable[0] ? stable : responses);
  show({
    responses: all,
    lost: 'in the last minute' + (lost ? `, ${lost} requests got none` : ''),
    canary: percent(canary.length, all),
    share: `${canary.length} of ${all}`,
    errors: percent(errors.length, all),
    sources: errors[0] ? `${errors.length} from ${[...sources].join(', ')}` : 'none',
    state: paused ? 'Paused' : problem || 'Live'
  });
  drawPods(responses);
  drawVerdict(canary[0]);
}

$('rate').oninput = () => {
  show({ pace: $('rate').value });
  poll();
};
$('pause').onclick = () => {
  paused = !paused;
  show({ pause: paused ? 'Resume' : 'Pause' });
  updateClock();
};
document.onvisibilitychange = updateClock;

for (const part of find('[hidden]')) part.hidden = false;
setInterval(() => resumedAt && draw(), 1e3);
$('rate').oninput();
updateClock();
