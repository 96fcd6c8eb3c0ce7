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
  PENDING = 4,
  LABELS = 8;
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
  if (response && failures) setTimeout(poll);
  failures = lost ? failures + 1 : 0;
  if (fault) return;
  const header = name => response?.headers.get('Appinfo-' + name);
  // A pod that fails tells its name and release by headers alone.
  const {
    PodName = header('Pod'),
    Release = header('Release'),
    Namespace,
    Labels,
    error
  } = body ?? {};
  const ms = Math.round(performance.now() - start),
    kind = lost ? 'lost' : KINDS.includes(Release) ? Release : 'other',
    failed = !lost && !(response.ok && body),
    late = !lost && ms > median + LATE,
    look = kind + (failed ? ' failed' : '') + (late ? ' late' : ''),
    origin = `${PodName || 'unknown pod'}, ${Release || 'no release'}, ${response?.status}`,
    text = `${lost || origin}, ${ms} ms${late ? ' late' : ''}${error ? ': ' + error : ''}`,
    at = now();
  // The comparison starts over with a canary pod that is new and comes after none was there.
  if (
    kind === 'canary' &&
    !results.some(other => other.kind === kind && other.PodName === PodName) &&
    !find('tr.canary:not(.quiet)')[0]
  )
    comparedSince = at;
  results.push({ PodName, Release, Namespace, Labels, ms, kind, failed, late, at });
  if (waiting.push({ look, text }) > SQUARES) waiting.shift();
  drawGrid();
  if (!lost) drawBars(look);
}

// The grid holds still while somebody looks at one of its squares.
const grid = $('grid');
function drawGrid() {
  const seen = grid.querySelector(':hover, :focus');
  for (const { look, text } of seen ? [] : waiting.splice(0)) {
    const square = create('i', { text, className: look, tabIndex: -1 });
    square.setAttribute('role', 'img');
    square.setAttribute('aria-label', text);
    grid.prepend(square);
  }
  while (grid.children[SQUARES]) grid.lastChild.remove();
  show({
    detail: seen
      ? `${seen.text} (${waiting.length} newer)`
      : 'Point at a square or use the arrow keys'
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
  const part = (bar[look] ??= bar.appendChild(create('i', { className: look, count: 0 })));
  part.style.flexGrow = ++part.count;
}

// A row for each pod, by release and name, unless it is gone: silent for a minute, or for seconds
// while the others had many responses each.
const rows = $('pods').rows;
function drawPods(responses) {
  const known = responses.filter(({ PodName, failed }) => PodName || !failed);
  const place = ({ kind, PodName }) => KINDS.indexOf(kind) + PodName;
  // Each pod's last response.
  const pods = [...new Map(known.map(response => [response.PodName, response])).values()]
    .filter(last => {
      const missed = (responses.length - responses.indexOf(last)) / rows.length;
      last.silence = Math.min((now() - last.at) / 6e3, missed / 8);
      return !(last.silence > 2);
    })
    .sort((a, b) => (place(a) < place(b) ? -1 : 1));
  pods.forEach(({ PodName, Release, at, kind, silence }, index) => {
    let row = [...rows].find(({ name }) => name === PodName);
    if (!row) {
      row = create('tr', { name: PodName });
      for (const { textContent } of find('thead th'))
        row.append(create(row.firstChild ? 'td' : 'th', { title: textContent }));
    }
    row.className = kind + (silence > 1 ? ' quiet' : '');
    if (rows[index] !== row) $('pods').insertBefore(row, rows[index]);
    const own = known.filter(response => response.PodName === PodName),
      succeeded = own.filter(({ failed }) => !failed),
      errors = own.length - succeeded.length,
      ms = percentile(0.95, own),
      age = Math.round((now() - at) / 1e3);
    const write = (index, textContent, isWrong) =>
      Object.assign(row.cells[index], { textContent, className: isWrong ? 'wrong' : '' });
    write(0, PodName || 'no name');
    write(1, Release || 'none');
    write(3, own.length);
    write(4, errors && `${errors} (${percent(errors, own.length)})`, errors);
    write(5, ms + ' ms', ms > median + LATE);
    write(6, age < 2 ? 'now' : age + ' s ago');
    if (succeeded[0]) drawLabels(row, succeeded.pop());
  });
  while (rows[pods.length]) rows[pods.length].remove();
}

function drawLabels(row, { Namespace, Labels }) {
  const [, , namespace, , , , , cell] = row.cells,
    labels = Object.entries(Labels ?? {}).map(pair => pair.join('='));
  namespace.replaceChildren(
    Namespace || create('span', { className: 'wrong tag', textContent: '"" empty' })
  );
  if (String(labels) === row.labels?.join()) return;
  const fresh = labels.filter(label => row.labels && !row.labels.includes(label));
  if (fresh[0]) show({ announcement: `New on ${row.name}: ${fresh}` });
  row.labels = labels;
  const until = now() + NEW;
  const tags = [...new Set([...fresh, ...labels])].map((textContent, i) =>
    create('span', { className: i < fresh.length ? 'new tag' : 'tag', textContent, until })
  );
  const hidden = tags.splice(LABELS);
  // It stays, open or not, with the focus or without.
  const details = cell.lastChild ?? cell.appendChild(create('details'));
  const summary = details.firstChild ?? details.appendChild(create('summary'));
  for (const tag of cell.querySelectorAll('.tag')) tag.remove();
  cell.prepend(...tags);
  details.append(...hidden);
  details.hidden = !hidden[0];
  summary.textContent = `+${hidden.length} labels`;
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
  drawVerdict(canary[0]);
  drawPods(responses);
  for (const tag of find('.new')) if (tag.until < now()) tag.className = 'tag';
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
setInterval(draw, 1e3);
setInterval(() => resumedAt && show({ announcement: $('figures').innerText }), 3e4);
$('rate').oninput();
updateClock();
