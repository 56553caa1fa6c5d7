/*
 * The conversation and its keys. What the server says of itself stands in `data-config` of the
 * body: endpoint, field (the input a question goes into), answer and reasoning (output fields),
 * history (the input that gets the turns before, or null), headers, words.
 */
const config = JSON.parse(document.body.dataset.config);
const [page, log, composer, box, button, latest, announcer, anew] = [
  "page", "log", "composer", "question", "send", "latest", "announcer", "anew",
].map((id) => document.getElementById(id));

const REMEMBERED = 20; // turns that go along with a question
const SPOKEN = 6; // blocks kept for screen readers

const byTouch = () => matchMedia("(pointer: coarse)").matches;

let turns = [];
let running = null; // the AbortController of the question that is being answered

// What screen readers hear: steps and whole blocks, one after the other. The answer itself is no
// live region, as that would speak at every piece.
const hush = () => announcer.replaceChildren();

function say(text) {
  announcer.append(make("p", "", text));
  while (announcer.childElementCount > SPOKEN) announcer.firstElementChild.remove();
}

// Scrolling follows the answer as long as the reader has not scrolled up.
let following = true;
let lastTop = 0;
const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;

function grown() {
  if (following && turns.length) log.scrollTop = log.scrollHeight;
  latest.hidden = following || isAtEnd();
}

log.addEventListener("scroll", () => {
  if (isAtEnd()) following = true;
  else if (log.scrollTop < lastTop) following = false; // up; what grows below moves nothing up
  lastTop = log.scrollTop;
  latest.hidden = following || isAtEnd();
}, { passive: true });

latest.addEventListener("click", () => {
  following = true;
  grown();
  box.focus();
});

new ResizeObserver(grown).observe(log); // the keyboard of a phone comes or goes

// Asking
function submit(question) {
  question = question.trim();
  if (!question || running) return;
  turns.at(-1)?.dropButton();
  const turn = new Turn(question, config, { grown, say, hush });
  turns.push(turn);
  page.classList.remove("empty");
  log.append(turn.element);
  box.value = "";
  fit();
  if (byTouch()) box.blur(); // the keyboard would cover the answer
  run(turn);
}

async function run(turn) {
  const control = new AbortController();
  setRunning(control);
  hush();
  following = true;
  grown();
  try {
    await ask(config, inputsOf(turn), (event) => turn.take(event), control.signal);
    turn.end("completed");
    say(config.words.complete);
  } catch (error) {
    turn.end(control.signal.aborted ? "left" : "failed");
    control.abort(); // what failed here may still be sent from there
    const again = () => {
      if (running) return;
      turn.begin();
      box.focus();
      run(turn);
    };
    if (turn.outcome === "left") {
      turn.addNote(config.words.stopped, "", "", again);
      say(config.words.stopped);
    } else if (error instanceof Failure) turn.addNote(error.title, error.text, error.code, again);
    else {
      turn.addNote(config.words.failed, config.words.unreadable, "", again);
      console.error(error);
    }
  } finally {
    if (running === control) setRunning(null);
  }
}

function inputsOf(turn) {
  const inputs = { [config.field]: turn.question };
  if (config.history) {
    const before = turns.slice(0, turns.indexOf(turn)).filter((each) => each.outcome === "completed" && each.answer);
    const messages = before.slice(-REMEMBERED).flatMap((each) => [
      { role: "user", content: each.question },
      { role: "assistant", content: each.answer },
    ]);
    inputs[config.history] = { messages };
  }
  return inputs;
}

function stop() {
  running?.abort();
}

function setRunning(control) {
  running = control;
  const label = control ? config.words.stop : config.words.send;
  button.dataset.does = control ? "stop" : "send";
  button.setAttribute("aria-label", label);
  button.title = label;
  setUsable();
}

// `aria-disabled` and not `disabled`, which would take the focus away.
const setUsable = () => button.setAttribute("aria-disabled", String(!running && !box.value.trim()));

// The box, and the keys
function fit() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
  setUsable();
}

box.addEventListener("input", fit);
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit(box.value);
});
composer.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) submit(box.value);
});
button.addEventListener("click", (event) => {
  if (!running || event.detail > 1) return; // the second click of a double one is no stop
  event.preventDefault();
  stop();
  box.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) stop();
});
for (const example of document.querySelectorAll("[data-prompt]"))
  example.addEventListener("click", () => {
    submit(example.dataset.prompt);
    if (!byTouch()) box.focus();
  });
anew.addEventListener("click", () => {
  stop();
  for (const turn of turns) turn.element.remove();
  turns = [];
  hush();
  page.classList.add("empty");
  following = true;
  grown();
  box.focus();
});
addEventListener("pagehide", stop); // a page that is kept for the back button must not go on listening

setRunning(null);
fit();
if (!byTouch()) box.focus();
