"""Features of users through Feast, cell by cell: run it as a script, or open it as a notebook.

It needs published marts (`make run`) and a registry (`feast apply`, see feast.md).
"""

# %% Open the store with the settings of this installation
import pandas as pd
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

from config import settings
from sequences.feast_store import local_marts_folder, open_store

store = open_store()

# %% Entity rows: each user at the time of the last event (times without a time zone are UTC)
events = pd.read_parquet(local_marts_folder() / "events.parquet", columns=["user_id", "known_at"])
entity_df = events.groupby("user_id", as_index=False)["known_at"].max().rename(columns={"known_at": "event_timestamp"})
entity_df = entity_df.head(100)

# %% The features of a ranker just before these times; views of one service share feature names
job = store.get_historical_features(entity_df, store.get_feature_service("sum_pooling"), full_feature_names=True)
features = job.to_df()
print(f"{len(features)} rows, {len(features.columns)} columns")

# %% A saved dataset: the same rows, in a file and in Feast's registry
path = settings.load_settings().feast / "datasets" / "example.parquet"
store.create_saved_dataset(
    from_=job, name="example", storage=SavedDatasetFileStorage(path=str(path)), allow_overwrite=True
)
print(f"saved dataset: {len(store.get_saved_dataset('example').to_df())} rows")

# %% Without entity rows: every user with an event in the last day of the data, as of its end
end = events["known_at"].max() + pd.Timedelta(microseconds=1)
active = store.get_historical_features(
    None,
    ["recent_events:track_id"],
    start_date=(end - pd.Timedelta(days=1)).to_pydatetime(),
    end_date=end.to_pydatetime(),
).to_df()
print(f"{len(active)} active users")

# %% The same features online, as they were written by the last materialization
user_id = entity_df["user_id"].iloc[0]
online = store.get_online_features(["recent_events:track_id"], [{"user_id": user_id}]).to_dict()
print(f"online: {len(online['track_id'][0])} tracks of {user_id}")
