// The listener's control of the taste profile: interests, what does not count, and private sessions. Each action is an event.
import { useState } from "preact/hooks";
import * as api from "../api.js";
import { format, interestName } from "../messages.js";

const REVERSE = { exclude: "unexclude", unexclude: "exclude", reset: "unreset", unreset: "reset" };
const EMPTY = { interests: [], left_out: [], private_session: null };

// `onChange` is called after each event.
export function useTaste({ userId, texts, toast, onError, onChange }) {
  const [taste, setTaste] = useState(EMPTY);
  const [isLoaded, setLoaded] = useState(false);
  const refresh = async () => {
    setTaste(await api.taste(userId));
    setLoaded(true);
  };

  async function control(action, type, id) {
    await api.report(userId, type, id, action);
    await refresh();
    onChange();
  }
  const controlWithUndo = (action, type, id, text, name) =>
    control(action, type, id).then(() => toast(format(text, { name }), texts.undo, () => control(REVERSE[action], type, id).catch(onError)), onError);
  const interestTitle = (interest) => interest.name || interestName(interest.interest_id, texts);

  return {
    taste, refresh, interestTitle,
    isTasteLoaded: isLoaded,
    isLeftOut: (type, id) => taste.left_out.some((one) => one.target_type === type && one.target_id === id),
    leaveOut: (type, id, name) => controlWithUndo("exclude", type, id, texts.leftOutToast, name),
    countAgain: (action, type, id, name) => controlWithUndo(REVERSE[action], type, id, texts.countedToast, name),
    pauseInterest: (one) => controlWithUndo("exclude", "interest", one.interest_id, texts.pausedToast, interestTitle(one)),
    resumeInterest: (one) => control("unexclude", "interest", one.interest_id).catch(onError),
    removeInterest: (one) => controlWithUndo("reset", "interest", one.interest_id, texts.removedToast, interestTitle(one)),
    renameInterest: (one, name) => control("rename", "interest", `${one.interest_id}=${name.trim()}`).catch(onError),
    setPrivate: (isOn) =>
      control(isOn ? "start_private" : "end_private", "session", "page")
        .then(() => toast(isOn ? texts.privateOnToast : texts.privateOffToast), onError),
  };
}
